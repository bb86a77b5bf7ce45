//! How devices present themselves beside connection keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::ConfigMapKey;

/// How devices and gateways present themselves beside the keys of `connections`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceAuthentication {
    /// `OpenID` Connect issuers whose tokens let devices send.
    #[schemars(length(min = 1, max = 5))]
    pub issuers: Vec<DeviceIssuer>,
}

/// An `OpenID` Connect issuer whose tokens let devices send.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceIssuer {
    /// The issuer's URL, exactly as in the tokens' `iss`; its keys are found by discovery.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s]+$"))]
    pub authority: String,
    /// What `aud` of a token must contain.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
    /// Certificates with which the issuer is trusted, in PEM; absent: the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ConfigMapKey>,
    /// The claim that is the device's id, for instance `sub`; the device can't say that it is another. Absent: a token is
    /// a gateway's, which says in `X-Device-Id` for which device it sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub device_claim: Option<String>,
}
