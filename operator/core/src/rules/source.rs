//! A source has to be one that the connector can read.

use fhir_operator_api::{IoTConnector, Reason};

use super::Verdict;
use crate::Refusal;
use crate::iot_connector::source;
use crate::names::Owner;

/// What the connector would refuse at its start is refused where people see it.
pub fn source_is_usable(connector: &IoTConnector) -> Verdict {
    let Some(wanted) = &connector.spec.source else {
        return Ok(());
    };
    let settings = source::of(wanted, &Owner::connector(connector), "");
    settings
        .validate()
        .map_err(|error| Refusal::new(Reason::NotSupported, format!("spec.{}: {}", error.option, error.reason)))
}
