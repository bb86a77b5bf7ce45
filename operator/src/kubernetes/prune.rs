//! Deletes the children that are no longer wanted. Never data or what identifies it, and only after every apply of the
//! same owner succeeded.

use std::collections::HashSet;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::apply::Owner;
use super::stored::Stored;
use crate::observe::index::Index;
use crate::observe::store::Store;

/// The children that were applied: kind and name.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    names: HashSet<(String, String)>,
}

impl Applied {
    /// This one is wanted.
    pub fn keep<K: Resource<DynamicType = ()>>(&mut self, object: &K) {
        self.names.insert((
            K::kind(&()).into_owned(),
            object.meta().name.clone().unwrap_or_default(),
        ));
    }

    fn has<K: Resource<DynamicType = ()>>(&self, object: &K) -> bool {
        let name = object.meta().name.clone().unwrap_or_default();
        self.names.contains(&(K::kind(&()).into_owned(), name))
    }
}

/// A child that should go and didn't.
#[derive(Debug, thiserror::Error)]
#[error("{kind} `{name}` can't be deleted")]
pub struct PruneError {
    kind: String,
    name: String,
    source: kube::Error,
}

/// Deletes what carries the owner's uid and isn't among `applied`.
pub async fn prune(client: &Client, index: &Index, owner: Owner<'_>, applied: &Applied) -> Result<(), PruneError> {
    let pruner = Pruner { client, owner, applied };
    // First what lets anybody in, then what runs, then what it ran with.
    pruner.kind::<Service>(&index.services).await?;
    pruner.kind::<StatefulSet>(&index.stateful_sets).await?;
    pruner.kind::<PodDisruptionBudget>(&index.budgets).await?;
    pruner.kind::<ConfigMap>(&index.config_maps).await?;
    pruner.kind::<ServiceAccount>(&index.service_accounts).await?;
    pruner.kind::<NetworkPolicy>(&index.network_policies).await
}

struct Pruner<'a> {
    client: &'a Client,
    owner: Owner<'a>,
    applied: &'a Applied,
}

impl Pruner<'_> {
    async fn kind<K>(&self, store: &Store<K>) -> Result<(), PruneError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        for object in store.in_namespace(self.owner.namespace) {
            let meta = object.meta();
            let labels = meta.labels.as_ref();
            let owner = labels.and_then(|labels| labels.get(fhir_operator_core::names::OWNER_UID));
            if owner.map(String::as_str) != Some(self.owner.uid)
                || meta.deletion_timestamp.is_some()
                || self.applied.has(object.as_ref())
            {
                continue;
            }
            let name = meta.name.clone().unwrap_or_default();
            let api = Api::<Stored<K>>::namespaced(self.client.clone(), self.owner.namespace);
            // Exactly the object that was looked at, not one that took its name since.
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: meta.uid.clone(),
                    resource_version: None,
                }),
                ..DeleteParams::background()
            };
            match api.delete(&name, &params).await {
                Ok(_) => tracing::info!(kind = %K::kind(&()), name, namespace = self.owner.namespace, "pruned"),
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                Err(source) => {
                    return Err(PruneError {
                        kind: K::kind(&()).into_owned(),
                        name,
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}
