//! Server-side apply of one child, only when what is stored doesn't say the same already.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::covers::covers;
use super::stored::Stored;
use crate::observe::store::{Name, Store};

/// Annotation of each child: a digest of what was applied. A field that is no longer wanted changes it, so that the
/// apply which drops the field isn't skipped.
pub const APPLIED: &str = "fhir-operator.dev/applied";

/// Why a child isn't as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is one of that name that isn't ours; it is left alone.
    #[error("{kind} `{name}` exists and isn't managed by fhir-operator: rename one of the two, or delete it")]
    NameTaken {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// There is one of an earlier object of the same name, on its way out.
    #[error("{kind} `{name}` of an earlier object of this name is still being deleted")]
    Leftover {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server refuses.
    #[error("{kind} `{name}` can't be applied")]
    Api {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// The object can't be written as JSON.
    #[error("an object can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Whose child it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Namespace of the owner and of all its children.
    pub namespace: &'a str,
    /// The owner's uid, as the children's label [`OWNER_UID`](fhir_operator_core::names::OWNER_UID) has it.
    pub uid: &'a str,
}

/// What the server made of an apply that it wrote differently than we did (quantities, for one), so that the same isn't
/// applied for ever.
#[derive(Debug, Default)]
pub struct Normalised {
    seen: Mutex<HashMap<(String, Name), (String, String)>>,
}

/// Applies children.
#[derive(Clone, Copy)]
pub struct Applier<'a> {
    /// How to reach the API server.
    pub client: &'a Client,
    /// What is known of the server's own ways to write.
    pub normalised: &'a Normalised,
    /// Whose children.
    pub owner: Owner<'a>,
}

impl Applier<'_> {
    /// Whether the name of `wanted` is free or its holder ours. What isn't in the cache is read.
    pub async fn check<K>(&self, wanted: &K, store: &Store<K>) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let (kind, name) = (K::kind(&()).into_owned(), Name::of(wanted));
        if let Some(live) = store.get(&name) {
            return ours(self.owner, &kind, live.meta());
        }
        let api = Api::<Stored<K>>::namespaced(self.client.clone(), self.owner.namespace);
        match api.get_metadata_opt(&name.name).await {
            Ok(Some(found)) => ours(self.owner, &kind, &found.metadata),
            Ok(None) => Ok(()),
            Err(source) => Err(ApplyError::Api {
                kind,
                name: name.name,
                source,
            }),
        }
    }

    /// Makes what is stored say what `wanted` says; [`check`](Self::check) it before. Gives whether anything was written.
    pub async fn apply<K>(&self, wanted: &K, store: &Store<K>) -> Result<bool, ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        let (kind, name) = (K::kind(&()).into_owned(), Name::of(wanted));
        let (body, digest) = with_digest(wanted)?;
        if let Some(live) = store.get(&name) {
            ours(self.owner, &kind, live.meta())?;
            let stored = serde_json::to_value(live.as_ref())?;
            if covers(&stored, &body) || self.normalised.matches(&kind, &name, &digest, &stored) {
                return Ok(false);
            }
        }
        self.send::<K>(&name, &body, &digest).await?;
        Ok(true)
    }

    /// Writes `wanted` without a look at the cache.
    pub async fn write<K>(&self, wanted: &K) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        let (body, digest) = with_digest(wanted)?;
        self.send::<K>(&Name::of(wanted), &body, &digest).await
    }

    async fn send<K>(&self, name: &Name, body: &Value, digest: &str) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Serialize,
    {
        let kind = K::kind(&()).into_owned();
        let api = Api::<Stored<K>>::namespaced(self.client.clone(), self.owner.namespace);
        let params = PatchParams::apply(fhir_operator_core::names::FIELD_MANAGER).force();
        let answer = api.patch(&name.name, &params, &Patch::Apply(body)).await;
        let answer = answer.map_err(|source| ApplyError::Api {
            kind: kind.clone(),
            name: name.name.clone(),
            source,
        })?;
        tracing::debug!(kind, %name, "applied");
        if let Stored(Ok(object)) = answer {
            let stored = serde_json::to_value(&object)?;
            self.normalised.remember(&kind, name, digest, &stored, body);
        }
        Ok(())
    }
}

impl Normalised {
    fn matches(&self, kind: &str, name: &Name, digest: &str, stored: &Value) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(kind.to_owned(), name.clone()))
            .is_some_and(|(applied, answer)| applied == digest && *answer == fingerprint(stored))
    }

    fn remember(&self, kind: &str, name: &Name, digest: &str, stored: &Value, wanted: &Value) {
        let key = (kind.to_owned(), name.clone());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if covers(stored, wanted) {
            seen.remove(&key);
        } else {
            seen.insert(key, (digest.to_owned(), fingerprint(stored)));
        }
    }
}

/// The object as JSON with the digest of itself among its annotations.
fn with_digest(object: &impl Serialize) -> Result<(Value, String), serde_json::Error> {
    let mut body = serde_json::to_value(object)?;
    let digest = hex(&Sha256::digest(serde_json::to_vec(&body)?))[..16].to_owned();
    let annotations = &mut body["metadata"]["annotations"];
    annotations[APPLIED] = Value::String(digest.clone());
    Ok((body, digest))
}

/// What identifies the wanted part of a stored object: all but what changes by itself.
fn fingerprint(stored: &Value) -> String {
    let mut stored = stored.clone();
    if let Some(object) = stored.as_object_mut() {
        object.remove("status");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for changing in ["resourceVersion", "managedFields", "generation"] {
                metadata.remove(changing);
            }
        }
    }
    hex(&Sha256::digest(stored.to_string()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Only what carries our labels is ours; what an earlier owner still owns has to go first; what it left (retained data)
/// has no owner and may be taken over, which `core` decides.
fn ours(owner: Owner<'_>, kind: &str, found: &ObjectMeta) -> Result<(), ApplyError> {
    let name = found.name.clone().unwrap_or_default();
    let label = |label: &str| {
        found
            .labels
            .as_ref()
            .and_then(|labels| labels.get(label))
            .map(String::as_str)
    };
    if label(fhir_operator_core::names::MANAGED_BY) != Some(fhir_operator_core::names::OPERATOR) {
        return Err(ApplyError::NameTaken {
            kind: kind.to_owned(),
            name,
        });
    }
    let retained = found.owner_references.as_ref().is_none_or(Vec::is_empty);
    if label(fhir_operator_core::names::OWNER_UID) == Some(owner.uid) || retained {
        return Ok(());
    }
    Err(ApplyError::Leftover {
        kind: kind.to_owned(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use fhir_operator_core::names;
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use serde_json::json;

    use super::*;

    const OWNER: Owner<'static> = Owner {
        namespace: "ward",
        uid: "1",
    };

    fn found(managed: bool, uid: &str, owned: bool) -> ObjectMeta {
        let mut labels = std::collections::BTreeMap::from([(names::OWNER_UID.to_owned(), uid.to_owned())]);
        if managed {
            labels.insert(names::MANAGED_BY.to_owned(), names::OPERATOR.to_owned());
        }
        ObjectMeta {
            labels: Some(labels),
            owner_references: owned.then(|| vec![OwnerReference::default()]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let taken = ours(OWNER, "Service", &found(false, "1", true));
        assert!(matches!(taken, Err(ApplyError::NameTaken { .. })));
        let leftover = ours(OWNER, "Service", &found(true, "2", true));
        assert!(matches!(leftover, Err(ApplyError::Leftover { .. })));
        assert!(ours(OWNER, "Service", &found(true, "1", true)).is_ok());
        assert!(ours(OWNER, "PersistentVolumeClaim", &found(true, "2", false)).is_ok());
    }

    #[test]
    fn a_dropped_field_changes_the_digest() {
        let map = |data: Value| -> ConfigMap { serde_json::from_value(json!({"data": data})).unwrap() };
        let (_, with) = with_digest(&map(json!({"a": "1", "b": "2"}))).unwrap();
        let (body, without) = with_digest(&map(json!({"a": "1"}))).unwrap();
        assert_ne!(with, without);
        assert_eq!(body["metadata"]["annotations"][APPLIED], without);
    }

    #[test]
    fn an_answer_written_differently_is_remembered() {
        let (normalised, name) = (Normalised::default(), Name::new("ward", "data"));
        let wanted = json!({"spec": {"storage": "1024Mi"}});
        let answer = json!({"metadata": {"resourceVersion": "1"}, "spec": {"storage": "1Gi"}, "status": {}});
        normalised.remember("PersistentVolumeClaim", &name, "d", &answer, &wanted);
        let later =
            json!({"metadata": {"resourceVersion": "9"}, "spec": {"storage": "1Gi"}, "status": {"phase": "Bound"}});
        assert!(normalised.matches("PersistentVolumeClaim", &name, "d", &later));
        assert!(!normalised.matches("PersistentVolumeClaim", &name, "e", &later));
        let drifted = json!({"metadata": {}, "spec": {"storage": "2Gi"}});
        assert!(!normalised.matches("PersistentVolumeClaim", &name, "d", &drifted));
    }
}
