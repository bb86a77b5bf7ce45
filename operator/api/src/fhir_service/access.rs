//! Who may present themselves to a FhirService, and who may do what.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::ConfigMapKey;

/// Either `anonymous` alone, or `issuers`, `serviceAccounts` or both.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.anonymous) && self.anonymous) || !((has(self.issuers) && self.issuers.size() > 0) || (has(self.serviceAccounts) && self.serviceAccounts))")
        .message("anonymous stands alone: with it, issuers and serviceAccounts would mean nothing"),
    validation = Rule::new("(has(self.anonymous) && self.anonymous) || (has(self.issuers) && self.issuers.size() > 0) || (has(self.serviceAccounts) && self.serviceAccounts)")
        .message("say who may present themselves: issuers, serviceAccounts: true, or anonymous: true")
)]
pub struct Authentication {
    /// Everybody who reaches the service may do everything, without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
    /// `OpenID` Connect issuers whose tokens are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub issuers: Vec<Issuer>,
    /// Accept tokens of the cluster's ServiceAccounts with audience `NAMESPACE/NAME` of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_accounts: Option<bool>,
    /// Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart: Option<Smart>,
}

/// An `OpenID` Connect issuer: Entra ID, Keycloak, Dex …
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// The issuer's URL, exactly as in the tokens' `iss`; its keys are found by discovery.
    #[schemars(length(min = 8, max = 512), regex(pattern = r"^https?://[^\s]+$"))]
    pub authority: String,
    /// What `aud` of a token must contain.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
    /// Certificates with which the issuer is trusted, in PEM; absent: the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ConfigMapKey>,
}

/// SMART on FHIR. Not supported by this release.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Smart {
    /// Serve the SMART configuration and enforce scopes.
    pub enabled: bool,
}

/// A role and who has it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrant {
    /// What they may do.
    pub role: Role,
    /// Who has the role.
    #[schemars(length(min = 1, max = 64))]
    pub subjects: Vec<Subject>,
}

/// What a subject may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Role {
    /// Read, search, history.
    Reader,
    /// Reader, and create and update; no delete.
    Writer,
    /// All of the data plane.
    Contributor,
    /// Not supported by this release.
    Exporter,
    /// Not supported by this release.
    Importer,
    /// Not supported by this release.
    Converter,
    /// Not supported by this release.
    BulkOperator,
    /// Not supported by this release.
    SearchParameterManager,
    /// Not supported by this release.
    SmartUser,
}

/// Exactly one of `objectId`, `serviceAccount`, or `claim` with `value`.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.objectId), has(self.serviceAccount), has(self.claim)].filter(x, x).size() == 1 && has(self.claim) == has(self.value)")
        .message("a subject is exactly one of objectId, serviceAccount, or claim with value")
)]
pub struct Subject {
    /// Object id of a user or application in Entra ID (claim `oid`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub object_id: Option<String>,
    /// A ServiceAccount: `NAME` in the service's namespace, or `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    )]
    pub service_account: Option<String>,
    /// Name of a claim; it may hold one value or a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub claim: Option<String>,
    /// Value of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub value: Option<String>,
}
