//! Starts the watches that feed the index: one a kind, and one a kind and namespace in a namespaced installation.

use std::fmt::Debug;
use std::sync::Arc;

use daemon::Health;
use fhir_operator_api::MAPPING_LABEL;
use fhir_operator_core::names;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::index::{Index, Listener, Watched};
use super::store::{Change, Store};
use crate::kubernetes::stored::Stored;
use crate::kubernetes::watches::{self, News};

/// The running watches.
pub struct Watching {
    /// A watch never ends.
    pub tasks: JoinSet<()>,
    /// Whether each has had its first list.
    pub synced: Synced,
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
pub fn start<L: Listener>(
    client: &Client,
    watched: &Watched,
    index: &Arc<Index>,
    listener: &Arc<L>,
    health: &Health,
) -> Watching {
    let (first_list, complete) = watch::channel(0);
    let tasks = JoinSet::new();
    let mut starter = Starter {
        client,
        watched,
        index,
        listener,
        health,
        first_list,
        tasks,
    };
    let (managed, mapping) = (
        format!("{}={}", names::MANAGED_BY, names::OPERATOR),
        format!("{MAPPING_LABEL}=true"),
    );
    let (ours, mappings, all) = (Some(managed.as_str()), Some(mapping.as_str()), None);

    if *watched == Watched::Cluster {
        starter.cluster_wide(all, |index| &index.tenants, Listener::tenant);
        starter.cluster_wide(all, |index| &index.namespaces, Listener::namespace);
    }
    starter.namespaced(all, |index| &index.fhir_services, Listener::fhir_service);
    starter.namespaced(all, |index| &index.iot_connectors, Listener::iot_connector);
    starter.namespaced(ours, |index| &index.stateful_sets, child);
    starter.namespaced(ours, |index| &index.pods, child);
    starter.namespaced(ours, |index| &index.claims, child);
    starter.namespaced(ours, |index| &index.services, child);
    starter.namespaced(ours, |index| &index.service_accounts, child);
    starter.namespaced(ours, |index| &index.config_maps, child);
    starter.namespaced(ours, |index| &index.budgets, child);
    starter.namespaced(mappings, |index| &index.mappings, Listener::mapping);
    starter.namespaced(all, |index| &index.network_policies, network_policy);
    let watches = starter.tasks.len();
    Watching {
        tasks: starter.tasks,
        synced: Synced { complete, watches },
    }
}

fn child<K: Resource>(listener: &impl Listener, change: &Change<K>) {
    for object in [&change.old, &change.new].into_iter().flatten() {
        if let Some(labels) = &object.meta().labels {
            listener.child(&change.name.namespace, labels);
        }
    }
}

fn network_policy<K: Resource>(listener: &impl Listener, change: &Change<K>) {
    child(listener, change);
    listener.network_policy(&change.name.namespace);
}

struct Starter<'a, L> {
    client: &'a Client,
    watched: &'a Watched,
    index: &'a Arc<Index>,
    listener: &'a Arc<L>,
    health: &'a Health,
    /// How many watches have had their first list.
    first_list: watch::Sender<usize>,
    tasks: JoinSet<()>,
}

impl<L: Listener> Starter<'_, L> {
    fn cluster_wide<K>(&mut self, selector: Option<&str>, store: fn(&Index) -> &Store<K>, tell: fn(&L, &Change<K>))
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.watch(Api::all(self.client.clone()), None, selector, store, tell);
    }

    fn namespaced<K>(&mut self, selector: Option<&str>, store: fn(&Index) -> &Store<K>, tell: fn(&L, &Change<K>))
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        match self.watched {
            Watched::Cluster => self.cluster_wide(selector, store, tell),
            Watched::Namespaces(namespaces) => {
                for namespace in namespaces {
                    let api = Api::namespaced(self.client.clone(), namespace);
                    self.watch(api, Some(namespace.clone()), selector, store, tell);
                }
            }
        }
    }

    fn watch<K>(
        &mut self,
        api: Api<Stored<K>>,
        scope: Option<String>,
        selector: Option<&str>,
        store: fn(&Index) -> &Store<K>,
        tell: fn(&L, &Change<K>),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let plural = K::plural(&());
        let name = scope
            .as_ref()
            .map_or_else(|| plural.to_string(), |scope| format!("{plural} in {scope}"));
        let pulse = self.health.heartbeat(format!("watch of {name}"), watches::SILENCE);
        let gate = self.health.gate(format!("first list of {name}"));
        let first_list = self.first_list.clone();
        let (index, listener) = (Arc::clone(self.index), Arc::clone(self.listener));
        let selector = selector.map(ToOwned::to_owned);
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
