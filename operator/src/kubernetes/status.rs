//! Status by server-side apply, written only when it differs, with an event for each transition that people see.

use std::fmt::Debug;

use fhir_operator_api::{ConditionType, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::stored::Stored;

/// The status can't be written.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The API server refuses.
    #[error("the status of {kind} `{name}` can't be written")]
    Api {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// The status can't be written as JSON.
    #[error("a status can't be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl StatusError {
    /// Whether somebody changed the object since it was read.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source: kube::Error::Api(status), .. } if status.is_conflict())
    }
}

/// Writes `status` as `manager`. With `version`, only if the object hasn't changed since.
pub async fn write<K>(
    api: &Api<Stored<K>>,
    object: &K,
    manager: &str,
    version: Option<&str>,
    status: &impl Serialize,
) -> Result<Stored<K>, StatusError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let name = object.meta().name.clone().unwrap_or_default();
    let body = body(object, version, &serde_json::to_value(status)?);
    let params = PatchParams::apply(manager).force();
    api.patch_status(&name, &params, &Patch::Apply(&body))
        .await
        .map_err(|source| StatusError::Api {
            kind: K::kind(&()).into_owned(),
            name,
            source,
        })
}

fn body<K: Resource<DynamicType = ()>>(object: &K, version: Option<&str>, status: &Value) -> Value {
    // The uid keeps a status from landing on a new object of the same name.
    let mut metadata = json!({"name": object.meta().name, "uid": object.meta().uid});
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    })
}

/// The conditions but `Admitted`, which only `reconcile/tenant` writes, by type: two writers leave no order to rely on.
pub fn without_place(conditions: &[Condition]) -> Vec<Condition> {
    let place = ConditionType::Admitted.name();
    let mut conditions: Vec<Condition> = conditions.iter().filter(|c| c.type_ != place).cloned().collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// One visible transition of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The condition's type.
    pub condition: String,
    /// Its new reason.
    pub reason: String,
    /// Its new message.
    pub message: String,
    /// Whether somebody may have to do something about it.
    pub worrying: bool,
}

/// The conditions whose status or reason changed. `Ready` repeats what another condition says, so it is told only where
/// none of `all` gives the same reason.
pub fn transitions(before: &[Condition], after: &[Condition], all: &[Condition]) -> Vec<Transition> {
    let changed = |condition: &&Condition| {
        let old = before.iter().find(|old| old.type_ == condition.type_);
        old.is_none_or(|old| old.status != condition.status || old.reason != condition.reason)
    };
    let told_by_another = |ready: &Condition| {
        all.iter()
            .chain(after)
            .any(|other| other.type_ != ready.type_ && other.reason == ready.reason)
    };
    after
        .iter()
        .filter(changed)
        .filter(|condition| condition.type_ != ConditionType::Ready.name() || !told_by_another(condition))
        .map(|condition| Transition {
            condition: condition.type_.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            worrying: condition.status == "False" && !passes_by_itself(&condition.reason),
        })
        .collect()
}

/// What an object goes through on its way to ready.
fn passes_by_itself(reason: &str) -> bool {
    let passing = [
        Reason::Progressing,
        Reason::VolumePending,
        Reason::FhirServiceNotAdmitted,
        Reason::FhirServiceNotReady,
        Reason::MappingMissing,
        Reason::WaitingForWindow,
        Reason::Suspended,
    ];
    passing.iter().any(|passing| passing.name() == reason)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str) -> Condition {
        Condition {
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            message: format!("{type_} is {status}"),
            observed_generation: None,
            reason: reason.into(),
            status: status.into(),
            type_: type_.into(),
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let before = [
            condition("WorkloadReady", "True", "Running"),
            condition("Ready", "True", "Serving"),
        ];
        let after = [
            condition("WorkloadReady", "False", "CrashLooping"),
            condition("Ready", "False", "CrashLooping"),
        ];
        let told: Vec<_> = transitions(&before, &after, &[])
            .into_iter()
            .map(|t| (t.condition, t.worrying))
            .collect();
        assert_eq!(told, [("WorkloadReady".to_owned(), true)]);
        assert_eq!(transitions(&after, &after, &[]), []);
    }

    #[test]
    fn ready_is_told_where_nothing_else_says_it() {
        let after = [
            condition("WorkloadReady", "True", "Running"),
            condition("Ready", "True", "Serving"),
        ];
        let told: Vec<_> = transitions(&[], &after, &[]).into_iter().map(|t| t.reason).collect();
        assert_eq!(told, ["Running", "Serving"]);
        let place = condition("Admitted", "False", "QuotaExceeded");
        let after = [condition("Ready", "False", "QuotaExceeded")];
        assert_eq!(transitions(&[], &after, &[place]), []);
    }

    #[test]
    fn the_way_to_ready_worries_nobody() {
        let told = transitions(&[], &[condition("WorkloadReady", "False", "Progressing")], &[]);
        assert!(!told[0].worrying);
    }
}
