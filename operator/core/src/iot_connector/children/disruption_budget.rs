//! `NAME-iot`: of replicas that share the work one at a time may be evicted. With one replica there is none: it would only
//! block drains.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::stateful_set::data;
use crate::iot_connector::Validated;

pub(super) fn build(validated: &Validated) -> Option<PodDisruptionBudget> {
    let owner = &validated.owner;
    (data(validated).replicas() > 1).then(|| PodDisruptionBudget {
        metadata: owner.metadata(owner.child(), "server"),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(owner.label_selector()),
            // What doesn't work anyway holds no drain up.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
