//! What every reconciliation shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_operator_api::{FhirService, IoTConnector, OPERATOR_ANNOTATION, Tenant};
use fhir_operator_core::Installation;
use fhir_operator_core::fhir_service::{self, PolicyProbe};
use fhir_operator_core::names;
use fhir_operator_core::tenant::{self, Holder};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Client, Resource};
use tokio::sync::{Mutex, watch};

use super::queue::Queue;
use crate::kubernetes::apply::Normalised;
use crate::kubernetes::events::Events;
use crate::kubernetes::lease::Claim;
use crate::observe::index::{Index, Listener, Watched};
use crate::observe::issuer::IssuerCell;
use crate::observe::pages::Heard;
use crate::observe::store::{Change, Name};

/// `app.kubernetes.io/name` of a FhirService's children, see [`names::Owner::program`].
const FHIR_SERVER: &str = "fhir-server";
/// `app.kubernetes.io/name` of an IoTConnector's children.
const IOT_CONNECTOR: &str = "iot-connector";

/// What has to be looked at.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The places of a tenant; before all else, since nothing runs without one.
    Places(Holder),
    /// A FhirService.
    FhirService(Name),
    /// An IoTConnector.
    IoTConnector(Name),
}

/// What every reconciliation shares.
pub struct Context {
    /// How to reach the API server.
    pub client: Client,
    /// This operator's name, for namespaces that are annotated for one of several.
    pub name: String,
    /// Which namespaces are served.
    pub watched: Watched,
    /// What the installation decides for all.
    pub installation: Arc<Installation>,
    /// The world as watched.
    pub index: Arc<Index>,
    /// What has to be looked at.
    pub queue: Queue<Task>,
    /// Whether this replica leads, and for how long.
    pub claim: watch::Receiver<Claim>,
    /// Places are judged one tenant at a time.
    pub places: Mutex<()>,
    /// Who signs ServiceAccount tokens.
    pub issuer: IssuerCell,
    /// Status pages of FHIR servers.
    pub server_pages: Heard<fhir_service::StatusPage>,
    /// Status pages of connectors.
    pub connector_pages: Heard<iot_connector_settings::StatusPage>,
    /// Whether FHIR ports answered where they shouldn't.
    pub probes: Heard<PolicyProbe>,
    /// What the API server writes in its own way.
    pub normalised: Normalised,
    /// Where transitions are told.
    pub events: Events,
}

impl Context {
    /// Whether this operator serves the namespace: it is watched, and not annotated for another operator.
    pub fn serves(&self, namespace: &str) -> bool {
        let watched = match &self.watched {
            Watched::Cluster => true,
            Watched::Namespaces(namespaces) => namespaces.iter().any(|watched| watched == namespace),
        };
        let found = self.index.namespaces.get(&Name::new("", namespace));
        let wanted = found.as_ref().and_then(|found| operator_of(found));
        watched && wanted.is_none_or(|wanted| wanted == self.name)
    }

    /// Whether the namespace is being deleted: nothing can be made in it any more.
    pub fn is_ending(&self, namespace: &str) -> bool {
        let found = self.index.namespaces.get(&Name::new("", namespace));
        found.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
    }

    /// Those of the namespaces that this operator serves.
    pub fn served(&self, namespaces: Vec<String>) -> Vec<String> {
        namespaces
            .into_iter()
            .filter(|namespace| self.serves(namespace))
            .collect()
    }

    /// Who answers for a namespace, as far as the index knows.
    pub fn holder(&self, namespace: &str) -> Holder {
        tenant::holder(namespace, &self.index.tenants.all(), &self.installation)
    }

    /// Puts everything into the queue: what a new leader begins with.
    pub fn look_at_all(&self) {
        let services = self.index.fhir_services.names();
        let connectors = self.index.iot_connectors.names();
        for name in self.index.tenants.names() {
            self.queue.add(Task::Places(Holder::Tenant(name.name)));
        }
        for name in services.iter().chain(&connectors) {
            self.queue.add(Task::Places(self.holder(&name.namespace)));
        }
        self.queue_all(services.into_iter().map(Task::FhirService));
        self.queue_all(connectors.into_iter().map(Task::IoTConnector));
    }

    /// Every FhirService, for example because the cluster signs tokens with new keys.
    pub fn look_at_services(&self) {
        self.queue_all(self.index.fhir_services.names().into_iter().map(Task::FhirService));
    }

    fn queue_all(&self, tasks: impl Iterator<Item = Task>) {
        tasks.for_each(|task| self.queue.add(task));
    }

    fn look_at_namespace(&self, namespace: &str) {
        let services = self.index.fhir_services.in_namespace(namespace);
        let connectors = self.index.iot_connectors.in_namespace(namespace);
        self.queue.add(Task::Places(self.holder(namespace)));
        self.queue_all(
            services
                .iter()
                .map(|service| Task::FhirService(Name::of(service.as_ref()))),
        );
        self.queue_all(
            connectors
                .iter()
                .map(|connector| Task::IoTConnector(Name::of(connector.as_ref()))),
        );
    }
}

impl Listener for Context {
    fn tenant(&self, change: &Change<Tenant>) {
        let spec = |tenant: &Option<Arc<Tenant>>| tenant.as_ref().map(|tenant| tenant.spec.clone());
        self.queue.add(Task::Places(Holder::Tenant(change.name.name.clone())));
        if spec(&change.old) == spec(&change.new) {
            return;
        }
        let listed = |tenant: &Option<Arc<Tenant>>| {
            tenant
                .as_ref()
                .map(|tenant| tenant.spec.namespaces.clone())
                .unwrap_or_default()
        };
        // Other Tenants may gain or lose a namespace by it.
        for name in self.index.tenants.names() {
            self.queue.add(Task::Places(Holder::Tenant(name.name)));
        }
        for namespace in listed(&change.old).into_iter().chain(listed(&change.new)) {
            self.look_at_namespace(&namespace);
        }
    }

    fn fhir_service(&self, change: &Change<FhirService>) {
        let namespace = &change.name.namespace;
        self.queue.add(Task::Places(self.holder(namespace)));
        self.queue.add(Task::FhirService(change.name.clone()));
        for connector in self.index.iot_connectors.in_namespace(namespace) {
            if connector.spec.fhir_service == change.name.name {
                self.queue.add(Task::IoTConnector(Name::of(connector.as_ref())));
            }
        }
    }

    fn iot_connector(&self, change: &Change<IoTConnector>) {
        let namespace = &change.name.namespace;
        self.queue.add(Task::Places(self.holder(namespace)));
        self.queue.add(Task::IoTConnector(change.name.clone()));
        for connector in [&change.old, &change.new].into_iter().flatten() {
            self.queue
                .add(Task::FhirService(Name::new(namespace, &connector.spec.fhir_service)));
        }
    }

    fn namespace(&self, change: &Change<Namespace>) {
        let operator = |namespace: &Option<Arc<Namespace>>| {
            namespace
                .as_ref()
                .and_then(|namespace| operator_of(namespace).map(ToOwned::to_owned))
        };
        if operator(&change.old) != operator(&change.new) {
            self.look_at_namespace(&change.name.name);
        }
    }

    fn child(&self, namespace: &str, labels: &BTreeMap<String, String>) {
        let (Some(program), Some(instance)) = (labels.get(names::NAME), labels.get(names::INSTANCE)) else {
            return;
        };
        let name = Name::new(namespace, instance);
        match program.as_str() {
            FHIR_SERVER => self.queue.add(Task::FhirService(name)),
            IOT_CONNECTOR => self.queue.add(Task::IoTConnector(name)),
            _ => {}
        }
    }

    fn mapping(&self, change: &Change<ConfigMap>) {
        let connectors = self.index.iot_connectors.in_namespace(&change.name.namespace);
        self.queue_all(
            connectors
                .iter()
                .map(|connector| Task::IoTConnector(Name::of(connector.as_ref()))),
        );
    }

    fn network_policy(&self, namespace: &str) {
        let services = self.index.fhir_services.in_namespace(namespace);
        self.queue_all(
            services
                .iter()
                .map(|service| Task::FhirService(Name::of(service.as_ref()))),
        );
    }
}

fn operator_of(namespace: &Namespace) -> Option<&str> {
    names::annotation(namespace.meta(), OPERATOR_ANNOTATION)
}
