//! What should be, given what is: rules, places, releases, children and conditions. Pure: no clock, no I/O.
//!
//! `observe` (I/O) fills a `World`; [`fhir_service::decide`] and [`iot_connector::decide`] judge it; `children` builds
//! the Kubernetes objects; `status` says what people see. The time is a field of the world.

// Types of kube without its client, see `fhir-operator-api`.
extern crate kube_types as kube;

pub mod admission;
pub mod collector;
pub mod conditions;
pub mod fhir_service;
pub mod installation;
pub mod iot_connector;
pub mod names;
pub mod pods;
mod policies;
pub mod refusal;
pub mod releases;
pub mod rules;
mod selectors;
pub mod tenant;
pub mod volumes;

pub use fhir_operator_api as api;
pub use installation::{ClusterIssuer, Installation, UnassignedNamespaces};
pub use refusal::Refusal;

/// Whether the object's annotation tells the operator to change nothing.
pub fn is_paused(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> bool {
    metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(api::PAUSED_ANNOTATION))
        .is_some_and(|value| value == "true")
}

/// The condition of a paused object.
fn paused_finding() -> conditions::Finding {
    conditions::Finding::holds(
        api::ConditionType::Paused,
        api::Reason::Paused,
        format!(
            "annotation `{}` is \"true\": the operator changes nothing; remove it to go on",
            api::PAUSED_ANNOTATION
        ),
    )
}
