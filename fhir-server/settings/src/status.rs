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
    /// The index that is being made for changed search parameters; absent: it is complete
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reindex: Option<Reindex>,
}

/// How far a reindex is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reindex {
    /// `GET _operations/reindex/ID` tells more
    pub id: String,
    /// Resources that are done
    pub done: u64,
    /// Resources in all, as they were counted when it began
    pub total: u64,
}
