//! A certificate to serve with.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A certificate and its key; the files are read again when they change.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM file with the certificate chain
    pub certificate: PathBuf,
    /// PEM file with the private key
    pub key: PathBuf,
}
