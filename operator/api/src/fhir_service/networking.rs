//! From where a FhirService is reached.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// From where the service is reached.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.gateway) && has(self.ingressClassName))")
        .message("at most one of gateway and ingressClassName")
)]
pub struct Networking {
    /// Who reaches the service; absent: `Enabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_network_access: Option<PublicNetworkAccess>,
    /// Only pods of chosen namespaces reach the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_link: Option<PrivateLink>,
    /// Host name outside the cluster. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Gateway of the route. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// `IngressClass` of the route. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class_name: Option<String>,
    /// TLS on the Service. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Who reaches the service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PublicNetworkAccess {
    /// Any pod of the cluster.
    #[default]
    Enabled,
    /// Pods of the service's namespace.
    Disabled,
}

/// Private Link: only pods of chosen namespaces reach the service. Excludes IoTConnectors.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.allowedNamespaces.matchLabels) && self.allowedNamespaces.matchLabels.size() > 0) || (has(self.allowedNamespaces.matchExpressions) && self.allowedNamespaces.matchExpressions.size() > 0)")
        .message("privateLink.allowedNamespaces must select: an empty selector would allow every namespace")
)]
pub struct PrivateLink {
    /// Namespaces whose pods reach the service; its own only if it matches.
    pub allowed_namespaces: LabelSelector,
}

/// A Gateway of the Gateway API.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; absent: the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A certificate of type `kubernetes.io/tls`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Name of the Secret in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// Cross-origin requests: which pages of other origins browsers let call the service.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.allowCredentials) && self.allowCredentials && has(self.origins) && self.origins.exists(origin, origin == '*'))")
        .message("cors.allowCredentials is never combined with the origin `*`")
)]
pub struct Cors {
    /// Origins whose pages may call the service, like `https://app.example.org`, or `*`; empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253), regex(pattern = r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$"))
    )]
    pub origins: Vec<String>,
    /// Request headers that they may send, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))
    )]
    pub headers: Vec<String>,
    /// Methods that they may use beside GET, HEAD and POST, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 16), regex(pattern = r"^(\*|[A-Z]+)$"))
    )]
    pub methods: Vec<String>,
    /// For how many seconds a browser may remember the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 99999))]
    pub max_age: Option<u32>,
    /// Whether browsers send credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
}
