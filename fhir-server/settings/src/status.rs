//! The page at `/status` on the management port.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FhirVersion;

/// What a server tells of itself.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusPage {
    /// The program's release
    pub version: String,
    /// The FHIR version that it serves
    pub fhir_version: FhirVersion,
    /// The schema of its data
    pub schema: u32,
}
