//! What is observed about a FhirService. `observe` fills it, everything here only reads it.

use std::sync::Arc;

use fhir_operator_api::IoTConnector;
use fhir_server_settings::StatusPage;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::installation::{ClusterIssuer, Installation};
use crate::tenant::Holder;

/// What is observed about a FhirService.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The installation's values.
    pub installation: Arc<Installation>,
    /// Who answers for the namespace.
    pub tenant: Holder,
    /// The IoTConnectors of the namespace that name this service.
    pub connectors: Vec<Arc<IoTConnector>>,
    /// StatefulSet `NAME-fhir`.
    pub stateful_set: Option<Arc<StatefulSet>>,
    /// Pods of the service.
    pub pods: Vec<Arc<Pod>>,
    /// PersistentVolumeClaim `NAME-fhir-data`.
    pub volume_claim: Option<Arc<PersistentVolumeClaim>>,
    /// All NetworkPolicies of the namespace.
    pub network_policies: Vec<Arc<NetworkPolicy>>,
    /// Objects with names of children that the operator didn't make; volumes aren't among them.
    pub foreign: Vec<Foreign>,
    /// The cluster's token issuer; `None` if the API server doesn't tell.
    pub cluster_issuer: Option<ClusterIssuer>,
    /// What the API refused when children were applied last.
    pub refused: Vec<ApplyRefusal>,
    /// The server's status page.
    pub page: Option<StatusPage>,
    /// The last try to reach the FHIR port in spite of Private Link.
    pub probe: Option<PolicyProbe>,
}

/// An object with the name of a child that the operator didn't make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Foreign {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A child that the API didn't take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApplyRefusal {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The API's message.
    pub message: String,
}

impl ApplyRefusal {
    /// The message about a kind of child.
    pub fn of<'a>(all: &'a [Self], kind: &str) -> Option<&'a str> {
        all.iter()
            .find(|refusal| refusal.kind == kind)
            .map(|refusal| refusal.message.as_str())
    }
}

/// What became of a TCP connection to the FHIR port from the operator's own pod, which no Private Link allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PolicyProbe {
    /// It was made: the network doesn't enforce policies.
    Connected,
    /// It was refused or timed out, as it should.
    Blocked,
}
