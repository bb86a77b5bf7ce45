//! A source has to be one that the connector can read, with a volume that isn't too small.

use fhir_operator_api::{IoTConnector, Reason, Source, StorageSize};

use super::Verdict;
use crate::Refusal;
use crate::iot_connector::{shares, source};
use crate::names::Owner;

/// What the connector would refuse at its start is refused where people see it.
pub fn source_is_usable(connector: &IoTConnector) -> Verdict {
    let Some(wanted) = &connector.spec.source else {
        return Ok(());
    };
    volume_is_large_enough(wanted)?;
    let settings = source::of(wanted, &Owner::connector(connector), "");
    settings
        .validate()
        .map_err(|error| Refusal::new(Reason::NotSupported, format!("spec.{}: {}", error.option, error.reason)))
}

/// What waits, dead letters, traces and the store's own log share the volume.
fn volume_is_large_enough(source: &Source) -> Verdict {
    let asked = source.embedded.as_ref().and_then(|volume| volume.storage.as_ref());
    let least = StorageSize(shares::MIN_STORAGE.to_owned());
    match asked {
        Some(asked) if asked.bytes() < least.bytes() => Err(Refusal::new(
            Reason::NotSupported,
            format!(
                "spec.source.embedded.storage is {}: messages, dead letters and the store's log need {} at least, and \
                 5Gi where nothing speaks against it",
                asked.0, least.0
            ),
        )),
        Some(_) | None => Ok(()),
    }
}
