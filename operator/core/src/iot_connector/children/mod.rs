//! The Kubernetes objects of an IoTConnector, one file a kind.

mod disruption_budget;
mod mapping;
mod network_policy;
mod service;
mod settings;
mod stateful_set;
mod volume_claim;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::keys::{KeyList, WantedConnection};
use super::{Decision, World};
use crate::pods;

/// The objects to apply, in this order, the StatefulSet last. Destructure it without `..`, so that a kind which nobody
/// applies doesn't compile.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The pods' identity, whose projected token the FhirService accepts.
    pub service_account: ServiceAccount,
    /// Who reaches which port.
    pub network_policy: NetworkPolicy,
    /// `NAME-iot-settings`: read by the connector at start.
    pub settings: ConfigMap,
    /// `NAME-iot-mapping`: the last valid pair. Absent until there is one, and never pruned before the connector goes.
    pub mapping: Option<ConfigMap>,
    /// `NAME-iot-keys`: hashes of the device keys, read again when it changes.
    pub keys: ConfigMap,
    /// Keys whose Secrets are to be made, see [`super::keys`].
    pub missing_keys: Vec<WantedConnection>,
    /// `NAME-iot-data`. Never pruned. Absent where replicas share streams.
    pub volume_claim: Option<PersistentVolumeClaim>,
    /// `NAME-iot`: where there are several replicas.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// `NAME-iot`: device messages on port 80.
    pub service: Service,
    /// `NAME-iot`.
    pub stateful_set: StatefulSet,
}

/// What to apply for a decision; nothing where it holds, and then nothing is pruned either.
pub fn children(decision: &Decision, world: &World) -> Option<Children> {
    let Decision::Run(validated) = decision else {
        return None;
    };
    let settings = settings::text(validated);
    let keys = KeyList::read(world.keys.as_deref()).current(world.now);
    Some(Children {
        service_account: pods::service_account(&validated.owner),
        network_policy: network_policy::build(validated, world),
        settings: settings::build(validated, world, &settings),
        mapping: mapping::build(validated),
        keys: keys.config_map(&validated.owner, &validated.connections),
        missing_keys: keys.missing(&validated.connections).into_iter().cloned().collect(),
        volume_claim: (!validated.shares_work()).then(|| volume_claim::build(validated, world)),
        disruption_budget: disruption_budget::build(validated),
        service: service::build(validated),
        stateful_set: stateful_set::build(validated, world, &settings),
    })
}
