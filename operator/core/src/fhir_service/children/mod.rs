//! The Kubernetes objects of a FhirService, one file a kind.

mod access;
mod network_policy;
mod service;
mod settings;
mod stateful_set;
mod volume_claim;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;

pub use fhir_server_settings::MANAGEMENT_PORT;

use super::{Decision, World};
use crate::pods;

/// The objects to apply, in this order: the NetworkPolicy before anything listens, the volume with its schema before the
/// pod template, the StatefulSet last. Destructure it without `..`, so that a kind which nobody applies doesn't compile.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The pods' identity, without rights.
    pub service_account: ServiceAccount,
    /// Who reaches which port.
    pub network_policy: NetworkPolicy,
    /// `NAME-fhir-settings`: read by the server at start.
    pub settings: ConfigMap,
    /// `NAME-fhir-access`: issuers, keys and grants, read again when it changes.
    pub access: ConfigMap,
    /// `NAME-fhir-data`. Never pruned.
    pub volume_claim: PersistentVolumeClaim,
    /// `NAME`: the FHIR API on port 80.
    pub service: Service,
    /// `NAME-fhir`.
    pub stateful_set: StatefulSet,
}

/// What to apply for a decision; nothing where it holds, and then nothing is pruned either.
pub fn children(decision: &Decision, world: &World) -> Option<Children> {
    let Decision::Run(validated) = decision else {
        return None;
    };
    let settings = settings::text(validated);
    Some(Children {
        service_account: pods::service_account(&validated.owner),
        network_policy: network_policy::build(validated, world),
        settings: settings::build(validated, world, &settings),
        access: access::build(validated, world),
        volume_claim: volume_claim::build(validated, world),
        service: service::build(validated),
        stateful_set: stateful_set::build(validated, world, &settings),
    })
}
