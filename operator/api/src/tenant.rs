//! `Tenant`: what Azure called a subscription. Holds namespaces and the quotas of what they may have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// FhirServices that a tenant may have if nothing is said.
pub const DEFAULT_FHIR_SERVICES: u32 = 10;
/// IoTConnectors that a tenant may have if nothing is said. Source: Azure API for FHIR, two to begin with.
pub const DEFAULT_IOT_CONNECTORS: u32 = 2;
/// The most IoTConnectors that a tenant's quota can be raised to. Source: Azure API for FHIR, up to five on request.
pub const MAX_IOT_CONNECTORS: u32 = 5;
/// The most FhirServices that a tenant's quota can be raised to.
pub const MAX_FHIR_SERVICES: u32 = 1000;
/// How many refused objects a Tenant's status names; the rest is only counted.
pub const MAX_REFUSED_NAMES: usize = 20;

/// A tenant: a set of namespaces and how many FhirServices and IoTConnectors they may have together.
#[expect(clippy::duplicated_attributes, reason = "columns of the same type aren't duplicates")]
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "fhir-operator.dev",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    shortname = "ten",
    category = "fhir-operator",
    status = "TenantStatus",
    derive = "PartialEq",
    doc = "A tenant: a set of namespaces and how many FhirServices and IoTConnectors they may have together.",
    printcolumn(
        name = "FHIR",
        type_ = "string",
        json_path = ".status.usage.fhirServices",
        description = "FhirServices, used/quota"
    ),
    printcolumn(
        name = "Connectors",
        type_ = "string",
        json_path = ".status.usage.iotConnectors",
        description = "IoTConnectors, used/quota"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// The tenant's namespaces. In two Tenants, the older Tenant holds the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespaces: Vec<String>,
    /// How many objects the namespaces may have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// How many objects a tenant may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// FhirServices; absent: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub fhir_services: Option<u32>,
    /// IoTConnectors, two to five; absent: 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 5))]
    pub iot_connectors: Option<u32>,
}

/// What is in use, and who waits.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Objects that have no place for want of quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// Conditions: `NamespaceConflict`, `OverQuota`, each present only while it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// Places in use, as `used/quota`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// FhirServices, `used/quota`.
    pub fhir_services: String,
    /// IoTConnectors, `used/quota`.
    pub iot_connectors: String,
}

/// Objects that were refused for want of quota.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// How many.
    pub count: u32,
    /// Twenty of them, as `FhirService NAMESPACE/NAME` or `IoTConnector NAMESPACE/NAME`.
    #[schemars(length(max = 20))]
    pub names: Vec<String>,
}
