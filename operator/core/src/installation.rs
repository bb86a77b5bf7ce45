//! What an installation of the operator decides for all objects: the chart's values, and facts of the cluster.

use fhir_operator_api::{DEFAULT_FHIR_SERVICES, DEFAULT_IOT_CONNECTORS, Day, MAX_IOT_CONNECTORS, MaintenanceWindow};
use serde::{Deserialize, Serialize};

use crate::collector::Collector;
use crate::releases::Catalogue;

/// The chart's values that decide how objects are treated.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Installation {
    /// Namespace of the operator's own pods.
    pub operator_namespace: String,
    /// Value of `app.kubernetes.io/name` on the operator's own pods.
    pub operator_name: String,
    /// What becomes of namespaces that no Tenant holds.
    pub unassigned_namespaces: UnassignedNamespaces,
    /// Window of services that name none.
    pub maintenance_window: MaintenanceWindow,
    /// Whether pods get uid, gid and fsGroup 65532; off where the platform assigns them (OpenShift).
    pub set_ids: bool,
    /// Quotas of namespaces that are tenants of their own: those in no Tenant, and every one in namespaced mode.
    pub namespace_quota: NamespaceQuota,
    /// Where the servers' figures go, from the operator's own options.
    #[serde(skip)]
    pub collector: Collector,
    /// Releases of the servers, from the chart's ConfigMap.
    #[serde(skip)]
    pub catalogue: Catalogue,
}

/// What becomes of namespaces that no Tenant holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UnassignedNamespaces {
    /// Each is a tenant of its own with the default quotas.
    #[default]
    Tenant,
    /// Objects in them are refused with `NoTenant`.
    Refuse,
}

/// Quotas of a namespace that is a tenant of its own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceQuota {
    /// FhirServices.
    pub fhir_services: u32,
    /// IoTConnectors, 2 to 5.
    pub iot_connectors: u32,
}

impl Default for NamespaceQuota {
    fn default() -> Self {
        Self {
            fhir_services: DEFAULT_FHIR_SERVICES,
            iot_connectors: DEFAULT_IOT_CONNECTORS,
        }
    }
}

impl NamespaceQuota {
    /// The quota with connectors brought into their bounds of 2 to 5, which no chart value can leave.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            fhir_services: self.fhir_services,
            iot_connectors: self.iot_connectors.clamp(DEFAULT_IOT_CONNECTORS, MAX_IOT_CONNECTORS),
        }
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            operator_namespace: "fhir-operator".to_owned(),
            operator_name: "fhir-operator".to_owned(),
            unassigned_namespaces: UnassignedNamespaces::default(),
            maintenance_window: MaintenanceWindow {
                days: vec![Day::Sunday],
                start: "02:00".to_owned(),
                duration_minutes: Some(120),
                time_zone: Some("UTC".to_owned()),
            },
            set_ids: true,
            namespace_quota: NamespaceQuota::default(),
            collector: Collector::default(),
            catalogue: Catalogue::default(),
        }
    }
}

/// The issuer of the cluster's ServiceAccount tokens, as the API server tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterIssuer {
    /// `iss` of the tokens, from `/.well-known/openid-configuration`.
    pub issuer: String,
    /// The key set, the text of `/openid/v1/jwks`.
    pub jwks: String,
}
