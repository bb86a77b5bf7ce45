//! The world as the watches tell it, and which task each change concerns.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use daemon::{Gate, Health};
use fhir_operator_api::{FhirService, IoTConnector, MAPPING_LABEL, Tenant};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::store::{Change, Store};
use crate::kubernetes::stored::Stored;
use crate::kubernetes::watches::{self, News};

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
    fn mapping(&self, namespace: &str, name: &str);
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

/// Whether every watch has had its first list: until then the index lacks things that exist.
#[derive(Clone)]
pub struct Synced {
    complete: watch::Receiver<usize>,
    watches: usize,
}

impl Synced {
    /// Waits for the last first list.
    pub async fn complete(mut self) {
        // The sender lives as long as the watches, which never end.
        let _ = self.complete.wait_for(|complete| *complete >= self.watches).await;
    }
}

/// Starts every watch. Each opens its gate when it has its first list, and fails liveness when it falls silent.
pub fn start(
    client: &Client,
    watched: &Watched,
    managed: &str,
    index: &Arc<Index>,
    listener: &Arc<impl Listener>,
    health: &Health,
) -> (JoinSet<()>, Synced) {
    let (first_list, complete) = watch::channel(0);
    let mut tasks = Watches {
        client,
        watched,
        health,
        first_list,
        tasks: JoinSet::new(),
    };
    let mapping = format!("{MAPPING_LABEL}=true");
    let (ours, mapping, all) = (Some(managed), Some(mapping.as_str()), None);

    if *watched == Watched::Cluster {
        tasks.cluster_wide(all, index, listener, |index| &index.tenants, Listener::tenant);
        tasks.cluster_wide(all, index, listener, |index| &index.namespaces, Listener::namespace);
    }
    tasks.namespaced(
        all,
        index,
        listener,
        |index| &index.fhir_services,
        Listener::fhir_service,
    );
    tasks.namespaced(
        all,
        index,
        listener,
        |index| &index.iot_connectors,
        Listener::iot_connector,
    );
    tasks.namespaced(ours, index, listener, |index| &index.stateful_sets, child);
    tasks.namespaced(ours, index, listener, |index| &index.pods, child);
    tasks.namespaced(ours, index, listener, |index| &index.claims, child);
    tasks.namespaced(ours, index, listener, |index| &index.services, child);
    tasks.namespaced(ours, index, listener, |index| &index.service_accounts, child);
    tasks.namespaced(ours, index, listener, |index| &index.config_maps, child);
    tasks.namespaced(ours, index, listener, |index| &index.budgets, child);
    tasks.namespaced(
        mapping,
        index,
        listener,
        |index| &index.mappings,
        |listener, change| {
            listener.mapping(&change.name.namespace, &change.name.name);
        },
    );
    tasks.namespaced(
        all,
        index,
        listener,
        |index| &index.network_policies,
        |listener, change| {
            child(listener, change);
            listener.network_policy(&change.name.namespace);
        },
    );
    let watches = tasks.tasks.len();
    (tasks.tasks, Synced { complete, watches })
}

fn child<K: Resource>(listener: &impl Listener, change: &Change<K>) {
    for object in [&change.old, &change.new].into_iter().flatten() {
        if let Some(labels) = &object.meta().labels {
            listener.child(&change.name.namespace, labels);
        }
    }
}

struct Watches<'a> {
    client: &'a Client,
    watched: &'a Watched,
    health: &'a Health,
    /// How many watches have had their first list.
    first_list: watch::Sender<usize>,
    tasks: JoinSet<()>,
}

impl Watches<'_> {
    fn cluster_wide<K, L>(
        &mut self,
        selector: Option<&str>,
        index: &Arc<Index>,
        listener: &Arc<L>,
        store: fn(&Index) -> &Store<K>,
        tell: fn(&L, &Change<K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        L: Listener,
    {
        self.watch(
            Api::all(self.client.clone()),
            None,
            selector,
            index,
            listener,
            store,
            tell,
        );
    }

    fn namespaced<K, L>(
        &mut self,
        selector: Option<&str>,
        index: &Arc<Index>,
        listener: &Arc<L>,
        store: fn(&Index) -> &Store<K>,
        tell: fn(&L, &Change<K>),
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        L: Listener,
    {
        match self.watched {
            Watched::Cluster => self.cluster_wide(selector, index, listener, store, tell),
            Watched::Namespaces(namespaces) => {
                for namespace in namespaces {
                    let api = Api::namespaced(self.client.clone(), namespace);
                    self.watch(api, Some(namespace.clone()), selector, index, listener, store, tell);
                }
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a watch is made of, gathered in two places above"
    )]
    fn watch<K, L>(
        &mut self,
        api: Api<Stored<K>>,
        scope: Option<String>,
        selector: Option<&str>,
        index: &Arc<Index>,
        listener: &Arc<L>,
        store: fn(&Index) -> &Store<K>,
        tell: fn(&L, &Change<K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        L: Listener,
    {
        let plural = K::plural(&());
        let name = scope
            .as_ref()
            .map_or_else(|| plural.to_string(), |scope| format!("{plural} in {scope}"));
        let pulse = self.health.heartbeat(format!("watch of {name}"), watches::SILENCE);
        let gate: Gate = self.health.gate(format!("first list of {name}"));
        let first_list = self.first_list.clone();
        let (index, listener, selector) = (Arc::clone(index), Arc::clone(listener), selector.map(ToOwned::to_owned));
        self.tasks.spawn(async move {
            let mut first = true;
            let hear = |news: News<K>| {
                let complete = matches!(news, News::All(_));
                for change in store(&index).take_in(scope.as_deref(), news) {
                    tell(&listener, &change);
                }
                if complete && std::mem::take(&mut first) {
                    gate.open();
                    first_list.send_modify(|complete| *complete += 1);
                }
            };
            watches::follow(api, selector.as_deref(), pulse, hear).await;
        });
    }
}
