//! Mappings: where they come from, whether they are valid, and the last valid pair, which a bad one never replaces.

use fhir_operator_api::{Compatibility, ConditionType, IoTConnectorSpec, MAPPING_LABEL, Mapping, Reason};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::World;
use crate::conditions::Finding;

/// Key of `NAME-iot-mapping` with the device mapping.
pub const DEVICE_FILE: &str = "devicecontent.json";
/// Key of `NAME-iot-mapping` with the FHIR mapping.
pub const FHIR_FILE: &str = "fhirmapping.json";

/// How many errors of a mapping a message tells.
const MOST_ERRORS: usize = 3;

/// One of the two mappings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// From device messages to measurements.
    Device,
    /// From measurements to Observations.
    Fhir,
}

impl Side {
    /// Its field.
    pub fn field(self) -> &'static str {
        match self {
            Self::Device => "spec.deviceMapping",
            Self::Fhir => "spec.fhirMapping",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Device => DEVICE_FILE,
            Self::Fhir => FHIR_FILE,
        }
    }
}

/// A pair of mappings that compile, as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    /// The device mapping.
    pub device: String,
    /// The FHIR mapping.
    pub fhir: String,
}

/// The mappings in force, and what the condition says of the wanted ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mappings {
    /// The pair to mount: the wanted one if it is valid, else the last valid one.
    pub in_force: Option<Pair>,
    /// `MappingsValid`.
    pub finding: Finding,
}

impl Mappings {
    /// Finds and checks the wanted pair.
    pub fn resolve(spec: &IoTConnectorSpec, world: &World) -> Self {
        let compatibility = spec.compatibility.unwrap_or_default();
        let wanted = wanted(Side::Device, spec.device_mapping.as_ref(), compatibility, world).and_then(|device| {
            Ok(Pair {
                device,
                fhir: wanted(Side::Fhir, spec.fhir_mapping.as_ref(), compatibility, world)?,
            })
        });
        match wanted {
            Ok(pair) => Self {
                in_force: Some(pair),
                finding: Finding::holds(ConditionType::MappingsValid, Reason::Valid, "both mappings are in use"),
            },
            Err((reason, message)) => {
                let in_force = kept(world.kept_mapping.as_deref());
                let meanwhile = if in_force.is_some() {
                    "the last valid pair stays in use"
                } else {
                    "messages are kept until both mappings are valid"
                };
                Self {
                    in_force,
                    finding: Finding::fails(ConditionType::MappingsValid, reason, format!("{message}; {meanwhile}")),
                }
            }
        }
    }
}

/// The mapping that stands in the object itself, as text.
pub fn inline(mapping: &Mapping) -> Option<String> {
    let (template_type, template) = (mapping.template_type.as_ref()?, mapping.template.as_ref()?);
    Some(json!({ "templateType": template_type, "template": template }).to_string())
}

/// Whether a mapping compiles. The message carries the JSON paths of what is wrong.
pub fn check(side: Side, text: &str, compatibility: Compatibility) -> Result<(), String> {
    let compatibility = match compatibility {
        Compatibility::Standard => iot_mapping::Compatibility::Standard,
        Compatibility::Upstream => iot_mapping::Compatibility::Upstream,
    };
    let errors = match side {
        Side::Device => iot_mapping::DeviceMapping::parse(text, compatibility).err(),
        Side::Fhir => iot_mapping::FhirMapping::parse(text, compatibility).err(),
    };
    errors.map_or(Ok(()), |errors| Err(told(&errors)))
}

/// The first errors as a sentence, and how many there are more.
fn told(errors: &[iot_mapping::TemplateError]) -> String {
    let first = errors
        .iter()
        .take(MOST_ERRORS)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    match errors.len().saturating_sub(MOST_ERRORS) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

fn wanted(
    side: Side,
    mapping: Option<&Mapping>,
    compatibility: Compatibility,
    world: &World,
) -> Result<String, (Reason, String)> {
    let missing = |message: String| Err((Reason::MappingMissing, message));
    let Some(mapping) = mapping else {
        return missing(format!("{} isn't set", side.field()));
    };
    let text = match (inline(mapping), &mapping.config_map, &mapping.key) {
        (Some(text), _, _) => text,
        (None, Some(name), Some(key)) => {
            let Some(found) = world.mappings.get(name) else {
                return missing(format!(
                    "{}: ConfigMap `{name}` doesn't exist or lacks the label `{MAPPING_LABEL}: \"true\"`: create it, or `kubectl label configmap {name} {MAPPING_LABEL}=true`",
                    side.field()
                ));
            };
            let Some(text) = found.data.as_ref().and_then(|data| data.get(key)) else {
                return missing(format!("{}: ConfigMap `{name}` has no key `{key}`", side.field()));
            };
            text.clone()
        }
        _ => return missing(format!("{}: neither a template nor a ConfigMap", side.field())),
    };
    check(side, &text, compatibility)
        .map_err(|error| (Reason::MappingInvalid, format!("{}: {error}", side.field())))?;
    Ok(text)
}

fn kept(config_map: Option<&ConfigMap>) -> Option<Pair> {
    let data = config_map?.data.as_ref()?;
    Some(Pair {
        device: data.get(Side::Device.file())?.clone(),
        fhir: data.get(Side::Fhir.file())?.clone(),
    })
}
