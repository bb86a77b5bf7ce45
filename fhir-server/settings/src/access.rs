//! Who may present themselves, and who may do what: a file of its own, read again when it changes, so that a new
//! connector or issuer key restarts nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Issuers and grants. Whoever no grant names may read the open endpoints only.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Access {
    /// Issuers whose tokens are accepted
    pub issuers: Vec<Issuer>,
    /// Who may do what
    pub grants: Vec<Grant>,
}

/// An issuer of tokens.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// The issuer, as in the tokens' `iss`
    pub authority: String,
    /// `aud` of a token has to contain one of these
    pub audiences: Vec<String>,
    /// File with the issuer's keys (JWKS), read again when it changes; absent: they are found by discovery
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// PEM file with the authorities to trust for discovery instead of the system's
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A role and who has it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// What they may do
    pub role: Role,
    /// Who has the role: whoever matches one of these
    pub subjects: Vec<Subject>,
}

/// What a subject may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Role {
    /// Read, search and history
    Reader,
    /// As Reader, and create and update; no delete
    Writer,
    /// Everything on data
    Contributor,
    /// Read, search, create and update of Patient, Device, Encounter and Observation: an IoT connector's
    Connector,
    /// As Reader, and export
    Exporter,
    /// Read, search, create, update and delete of search parameters
    SearchParameterManager,
    /// What the SMART scopes of the token grant, within the other roles of the subject if there are any; nothing unless
    /// `smart` is enabled
    SmartUser,
    /// A role of a newer release: it allows nothing here
    #[serde(other)]
    Unknown,
}

/// A token matches if its claim is the value or a list that contains it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Tokens of this issuer only; absent: of any
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Name of the claim; `a.b` descends
    pub claim: String,
    /// Its value
    pub value: String,
}
