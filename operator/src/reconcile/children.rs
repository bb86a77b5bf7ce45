//! One round of children: first every name is checked, then each child is applied, then what is no longer wanted goes.

use std::fmt::Debug;
use std::time::Duration;

use fhir_operator_core::fhir_service::{ApplyRefusal, Foreign};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, ReconcileError};
use crate::kubernetes::apply::{Applier, ApplyError, Owner};
use crate::kubernetes::prune::{self, Applied};
use crate::observe::store::Store;

/// After a refusal or a taken name, which no watch tells the end of.
pub const REFUSED: Duration = Duration::from_secs(30);

/// One round of the children of one object.
pub struct Round<'a> {
    context: &'a Context,
    applier: Applier<'a>,
    applied: Applied,
    foreign: Vec<Foreign>,
    refused: Vec<ApplyRefusal>,
}

impl<'a> Round<'a> {
    /// A round for that owner.
    pub fn new(context: &'a Context, namespace: &'a str, uid: &'a str) -> Self {
        let owner = Owner { namespace, uid };
        Self {
            context,
            applier: Applier {
                client: &context.client,
                normalised: &context.normalised,
                owner,
            },
            applied: Applied::default(),
            foreign: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Notes if the child's name is somebody else's.
    pub async fn check<K>(&mut self, child: &K, store: &Store<K>) -> Result<(), ReconcileError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        match self.applier.check(child, store).await {
            Ok(()) => Ok(()),
            Err(ApplyError::NameTaken { kind, name }) => {
                self.foreign.push(Foreign { kind, name });
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Applies a child. A change that the API server will never take (a volume that can't grow) is noted, and the other
    /// children are applied all the same.
    pub async fn apply<K>(&mut self, child: &K, store: &Store<K>) -> Result<(), ReconcileError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        self.applied.keep(child);
        match self.applier.apply(child, store).await {
            Ok(_) => Ok(()),
            Err(ApplyError::Api {
                kind,
                name,
                source: kube::Error::Api(status),
            }) if status.is_invalid() || status.is_forbidden() => {
                let message = status.message.clone();
                tracing::warn!(kind, name, message, "the API server refuses a child");
                self.refused.push(ApplyRefusal { kind, name, message });
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a child whatever the cache says, for what is decided on a live read.
    pub async fn write<K>(&mut self, child: &K) -> Result<(), ReconcileError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        self.applied.keep(child);
        self.applier.write(child).await?;
        Ok(())
    }

    /// Notes a name that turned out to be somebody else's.
    pub fn taken(&mut self, foreign: Foreign) {
        self.foreign.push(foreign);
    }

    /// Names that are taken.
    pub fn foreign(&self) -> Vec<Foreign> {
        self.foreign.clone()
    }

    /// Deletes what is no longer wanted, if all that is wanted was applied; gives what was refused.
    pub async fn finish(self) -> Result<Vec<ApplyRefusal>, ReconcileError> {
        if self.refused.is_empty() {
            let Context { client, index, .. } = self.context;
            prune::prune(client, index, self.applier.owner, &self.applied).await?;
        }
        Ok(self.refused)
    }
}
