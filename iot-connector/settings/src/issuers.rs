//! Issuers whose tokens let devices send.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

/// An `OpenID` Connect issuer whose tokens let devices send messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The claim that is the device's id, for instance `sub`: the device can't say that it is another then. Absent: a token
    /// is a gateway's, which says in `X-Device-Id` for which device it sends
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_claim: Option<String>,
}

impl Issuer {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |reason: String| {
            Err(SettingsError {
                option: "issuers",
                reason,
            })
        };
        let Self {
            authority, audiences, ..
        } = self;
        if !(authority.starts_with("https://") || authority.starts_with("http://")) {
            return refuse(format!("`{authority}` isn't the URL of an issuer"));
        }
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return refuse(format!(
                "`{authority}` needs an audience: without one, tokens meant for others would let devices in"
            ));
        }
        if self.device_claim.as_deref() == Some("") {
            return refuse(format!(
                "`deviceClaim` of `{authority}` has to name a claim, or be absent"
            ));
        }
        Ok(())
    }
}
