//! What the API server stores, read so that one object that no longer fits its type can't stop the others.
//!
//! kube's `DeserializeGuard` does the same through `serde_value`, which can't carry numbers when `serde_json` keeps
//! their text (`arbitrary_precision`, on in this workspace); this one goes through [`serde_json::Value`], which can.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An object as read, or what kept it from being read. `managedFields` are dropped: nobody here looks at them, and
/// they are the larger half of a small object.
#[derive(Clone, Debug)]
pub struct Stored<K>(pub Result<K, Misfit>);

/// A stored object that doesn't fit its type.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Misfit {
    /// What the deserialiser says.
    pub error: String,
    /// Enough to say which object it is.
    pub metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        match K::deserialize(&object) {
            Ok(typed) => Ok(Self(Ok(typed))),
            Err(error) => {
                let metadata = object
                    .get("metadata")
                    .ok_or_else(|| D::Error::missing_field("metadata"))?;
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                Ok(Self(Err(Misfit {
                    error: error.to_string(),
                    metadata,
                })))
            }
        }
    }
}

/// Only what was read whole is ever written back.
impl<K: Serialize> Serialize for Stored<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(object) => object.serialize(serializer),
            Err(misfit) => Err(serde::ser::Error::custom(misfit)),
        }
    }
}

impl<K: Resource> Resource for Stored<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(misfit) => &misfit.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(misfit) => &mut misfit.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

    use super::*;

    const SERVICE: &str = r#"{"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "clinic", "generation": 3, "managedFields": [{"manager": "someone"}]},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]}}"#;

    #[test]
    fn numbers_that_may_be_names_are_read_as_numbers() {
        let Stored(read) = serde_json::from_str::<Stored<Service>>(SERVICE).unwrap();
        let service = read.unwrap();
        let port = &service.spec.unwrap().ports.unwrap()[0];
        assert_eq!(port.target_port, Some(IntOrString::Int(8080)));
        assert_eq!(service.metadata.managed_fields, None);
    }

    #[test]
    fn a_misfit_keeps_its_name() {
        let text = SERVICE.replace("80,", "\"eighty\",");
        let Stored(read) = serde_json::from_str::<Stored<Service>>(&text).unwrap();
        let misfit = read.unwrap_err();
        assert_eq!(misfit.metadata.name.as_deref(), Some("clinic"));
        assert_eq!(misfit.metadata.generation, Some(3));
    }

    #[test]
    fn a_watch_event_is_read_whichever_member_comes_first() {
        for text in [
            format!(r#"{{"type": "ADDED", "object": {SERVICE}}}"#),
            format!(r#"{{"object": {SERVICE}, "type": "ADDED"}}"#),
        ] {
            let event: kube::core::WatchEvent<Stored<Service>> = serde_json::from_str(&text).unwrap();
            assert!(matches!(event, kube::core::WatchEvent::Added(Stored(Ok(_)))));
        }
    }
}
