//! Inline mappings are checked before they are stored; those in ConfigMaps by the controller.

use fhir_operator_api::{IoTConnectorSpec, Reason};

use super::Verdict;
use crate::Refusal;
use crate::iot_connector::mappings::{self, Side};

/// Mappings that are in the object itself compile.
///
/// Source: Azure API for FHIR, IoT Connector, "Validation failed. Required information is missing or not valid."
pub fn inline_mappings_are_valid(spec: &IoTConnectorSpec) -> Verdict {
    for (side, mapping) in [(Side::Device, &spec.device_mapping), (Side::Fhir, &spec.fhir_mapping)] {
        if let Some(text) = mapping.as_ref().and_then(mappings::inline) {
            mappings::check(side, &text, spec.compatibility.unwrap_or_default())
                .map_err(|error| Refusal::new(Reason::MappingInvalid, format!("{}: {error}", side.field())))?;
        }
    }
    Ok(())
}
