//! Limits of the FHIR API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of the FHIR API; what is absent has the server's default.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Largest `_count` of a page; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<u32>,
    /// Most entries of a bundle; absent: 5,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub bundle_entries: Option<u32>,
    /// Most bytes of a bundle; absent: 64 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub bundle_bytes: Option<u64>,
    /// Whether transaction bundles are accepted; absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_bundles: Option<bool>,
    /// Most bytes of a resource; absent: 10 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub resource_bytes: Option<u64>,
    /// Most included resources of a page; absent: 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub includes: Option<u32>,
    /// Longest time of a request in seconds; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub request_seconds: Option<u32>,
    /// Most requests at a time; more are answered with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent_requests: Option<u32>,
}
