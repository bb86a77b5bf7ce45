//! The list of connection keys: what the operator writes into ConfigMap `NAME-iot-keys` and a connector mounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A device may send its key in this header instead of `Authorization: Bearer KEY`.
pub const KEY_HEADER: &str = "x-connection-key";

/// The keys file (YAML or JSON). It holds hashes only, so it is no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionKeys {
    /// All keys that are accepted
    #[serde(default)]
    pub keys: Vec<ConnectionKey>,
}

/// One accepted key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionKey {
    /// The connection that it belongs to
    pub connection: String,
    /// Lower-case hexadecimal SHA-256 of the key's text
    pub sha256: String,
    /// RFC 3339; from then on the key isn't accepted. Absent: no end
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}
