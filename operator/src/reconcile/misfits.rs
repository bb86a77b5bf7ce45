//! A stored object that no longer fits its type gets a condition that says so; what runs for it goes on.

use fhir_operator_api::{ConditionType, Reason};
use fhir_operator_core::conditions::Finding;
use fhir_operator_core::names;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Context;
use crate::kubernetes::status::StatusError;
use crate::kubernetes::stored::{Misfit, Stored};

/// Writes `Ready=False, NotSupported` with what is wrong.
pub async fn tell<K>(misfit: &Misfit, context: &Context) -> Result<(), StatusError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let metadata = &misfit.metadata;
    let (name, namespace) = (
        metadata.name.clone().unwrap_or_default(),
        metadata.namespace.clone().unwrap_or_default(),
    );
    let message = format!(
        "this release can't read the object: {}; what runs goes on",
        misfit.error
    );
    let finding = Finding::fails(ConditionType::Ready, Reason::NotSupported, message);
    // A time that doesn't move: a second look must not write again.
    let since = metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |created| created.0);
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": metadata.uid},
        "status": {"conditions": [finding.condition(&[], metadata.generation, since)]},
    });
    let api = Api::<Stored<K>>::namespaced(context.client.clone(), &namespace);
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    let written = api.patch_status(&name, &params, &Patch::Apply(&body)).await;
    written.map(|_| ()).map_err(|source| StatusError::Api {
        kind: K::kind(&()).into_owned(),
        name,
        source,
    })
}
