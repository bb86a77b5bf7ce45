//! Private Link and IoT connectors exclude each other; whoever was there first keeps working.
//!
//! Source: Azure API for FHIR, IoT Connector FAQ: a connector can't be installed on a service with Private Link, nor
//! Private Link be enabled on a service with a connector.

use fhir_operator_api::{FhirService, Reason};
use kube::ResourceExt as _;

use super::Verdict;
use crate::Refusal;

/// A connector gets no place on a service that asks for Private Link, in force or not.
pub fn private_link_keeps_connectors_out(service: &FhirService) -> Verdict {
    if !asks_for_private_link(service) {
        return Ok(());
    }
    let name = service.name_any();
    Err(Refusal::new(
        Reason::PrivateLinkEnabled,
        format!(
            "FhirService `{name}` has Private Link, which excludes IoT connectors: remove \
             `spec.networking.privateLink` of FhirService `{name}`, or choose another service"
        ),
    ))
}

/// Private Link doesn't come into force while a connector of the service has a place.
pub fn connector_keeps_private_link_off(service: &str, admitted_connectors: &[String]) -> Verdict {
    let Some(first) = admitted_connectors.first() else {
        return Ok(());
    };
    let others = match admitted_connectors.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Refusal::new(
        Reason::IotConnectorInstalled,
        format!(
            "FhirService `{service}` has IoTConnector `{first}`{others}, which excludes Private Link: delete \
             IoTConnector `{first}`{others}, or remove `spec.networking.privateLink` of FhirService `{service}`"
        ),
    ))
}

/// Whether the spec asks for Private Link.
pub(crate) fn asks_for_private_link(service: &FhirService) -> bool {
    service
        .spec
        .networking
        .as_ref()
        .is_some_and(|networking| networking.private_link.is_some())
}
