//! What is observed about an IoTConnector. `observe` fills it, everything here only reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_operator_api::FhirService;
use iot_connector_settings::StatusPage;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};

use crate::fhir_service::{ApplyRefusal, Foreign};
use crate::installation::Installation;
use crate::tenant::Holder;

/// What is observed about an IoTConnector.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The installation's values.
    pub installation: Arc<Installation>,
    /// Who answers for the namespace.
    pub tenant: Holder,
    /// The FhirService that the connector names.
    pub service: Option<Arc<FhirService>>,
    /// The ConfigMaps with mappings that the connector names and that carry the label, by name.
    pub mappings: BTreeMap<String, Arc<ConfigMap>>,
    /// ConfigMap `NAME-iot-mapping`: the last valid pair.
    pub kept_mapping: Option<Arc<ConfigMap>>,
    /// ConfigMap `NAME-iot-keys`: hashes of the device keys.
    pub keys: Option<Arc<ConfigMap>>,
    /// StatefulSet `NAME-iot`.
    pub stateful_set: Option<Arc<StatefulSet>>,
    /// Pods of the connector.
    pub pods: Vec<Arc<Pod>>,
    /// PersistentVolumeClaim `NAME-iot-data`.
    pub volume_claim: Option<Arc<PersistentVolumeClaim>>,
    /// Objects with names of children that the operator didn't make; volumes aren't among them.
    pub foreign: Vec<Foreign>,
    /// What the API refused when children were applied last.
    pub refused: Vec<ApplyRefusal>,
    /// The connector's status page.
    pub page: Option<StatusPage>,
}
