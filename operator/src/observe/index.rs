//! The world as the watches tell it, and who wants to know of changes.

use std::collections::BTreeMap;

use fhir_operator_api::{FhirService, IoTConnector, Tenant};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::store::{Change, Store};

/// All that is watched.
#[derive(Debug)]
pub struct Index {
    /// Tenants.
    pub tenants: Store<Tenant>,
    /// FHIR services.
    pub fhir_services: Store<FhirService>,
    /// IoT connectors.
    pub iot_connectors: Store<IoTConnector>,
    /// Namespaces, for their annotations.
    pub namespaces: Store<Namespace>,
    /// Workloads of ours.
    pub stateful_sets: Store<StatefulSet>,
    /// Pods of ours; their specs aren't kept.
    pub pods: Store<Pod>,
    /// Volume claims of ours.
    pub claims: Store<PersistentVolumeClaim>,
    /// Services of ours.
    pub services: Store<Service>,
    /// Service accounts of ours.
    pub service_accounts: Store<ServiceAccount>,
    /// ConfigMaps of ours.
    pub config_maps: Store<ConfigMap>,
    /// Disruption budgets of ours.
    pub budgets: Store<PodDisruptionBudget>,
    /// ConfigMaps of users that are labelled as mappings.
    pub mappings: Store<ConfigMap>,
    /// All network policies: others' may open what ours close.
    pub network_policies: Store<NetworkPolicy>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            tenants: Store::default(),
            fhir_services: Store::default(),
            iot_connectors: Store::default(),
            namespaces: Store::slimmed(|namespace| {
                namespace.spec = None;
                namespace.status = None;
            }),
            stateful_sets: Store::default(),
            pods: Store::slimmed(|pod| pod.spec = None),
            claims: Store::default(),
            services: Store::default(),
            service_accounts: Store::default(),
            config_maps: Store::default(),
            budgets: Store::default(),
            mappings: Store::default(),
            network_policies: Store::default(),
        }
    }
}

/// Who wants to know of changes.
pub trait Listener: Send + Sync + 'static {
    /// A Tenant changed.
    fn tenant(&self, change: &Change<Tenant>);
    /// A FhirService changed.
    fn fhir_service(&self, change: &Change<FhirService>);
    /// An IoTConnector changed.
    fn iot_connector(&self, change: &Change<IoTConnector>);
    /// A namespace changed.
    fn namespace(&self, change: &Change<Namespace>);
    /// A child changed, or a pod of a child; `labels` say whose.
    fn child(&self, namespace: &str, labels: &BTreeMap<String, String>);
    /// A ConfigMap with mappings changed.
    fn mapping(&self, change: &Change<ConfigMap>);
    /// A network policy that isn't ours changed.
    fn network_policy(&self, namespace: &str);
}

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// All, and what is cluster-scoped.
    Cluster,
    /// These only, and nothing that is cluster-scoped.
    Namespaces(Vec<String>),
}
