//! `fhir-operator render`: what would be applied for custom resources in a file, as if all of them were admitted and
//! nothing existed yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_operator_api::{ConditionType, FhirService, IoTConnector, MAPPING_LABEL, Reason, Tenant};
use fhir_operator_core::conditions::Finding;
use fhir_operator_core::releases::{Catalogue, CatalogueError, Release};
use fhir_operator_core::{ClusterIssuer, Installation, Refusal, fhir_service, iot_connector, tenant};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why nothing can be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The file isn't YAML.
    #[error("document {position} isn't valid YAML")]
    Yaml {
        /// Which, counted from one.
        position: usize,
        /// Why.
        source: serde_yaml::Error,
    },
    /// An object doesn't fit its kind.
    #[error("document {position} isn't a valid {kind}")]
    Object {
        /// Which, counted from one.
        position: usize,
        /// What it says it is.
        kind: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An object that the operator would refuse.
    #[error("{kind} `{name}` would be refused: {source}")]
    Refused {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        source: Refusal,
    },
    /// The image can't be part of a catalogue.
    #[error("the image can't be used")]
    Catalogue(#[from] CatalogueError),
    /// The version of this program isn't one.
    #[error("`{0}` isn't a release number")]
    Release(String),
    /// An object can't be written.
    #[error("an object can't be written as YAML")]
    Write(#[from] serde_yaml::Error),
}

/// The objects of a file, as if the API server had them.
#[derive(Default)]
struct Given {
    tenants: Vec<Arc<Tenant>>,
    services: Vec<Arc<FhirService>>,
    connectors: Vec<Arc<IoTConnector>>,
    config_maps: Vec<Arc<ConfigMap>>,
}

/// YAML documents, in the order in which they would be applied.
pub fn render(text: &str, image: &str) -> Result<Vec<String>, RenderError> {
    let given = Given::read(text)?;
    let installation = Arc::new(installation(image)?);
    let now = Timestamp::now();
    let mut documents = Vec::new();
    for service in &given.services {
        documents.extend(given.render_service(service, &installation, now)?);
    }
    for connector in &given.connectors {
        documents.extend(given.render_connector(connector, &installation, now)?);
    }
    Ok(documents)
}

fn installation(image: &str) -> Result<Installation, RenderError> {
    let version = env!("CARGO_PKG_VERSION");
    let release = Release {
        version: version.parse().map_err(|_| RenderError::Release(version.to_owned()))?,
        channel: fhir_operator_api::Channel::default(),
        image: image.to_owned(),
        schema: 1,
    };
    Ok(Installation {
        catalogue: Catalogue::new(vec![release])?,
        ..Installation::default()
    })
}

impl Given {
    fn read(text: &str) -> Result<Self, RenderError> {
        let mut given = Self::default();
        for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
            let position = index + 1;
            let object = Value::deserialize(document).map_err(|source| RenderError::Yaml { position, source })?;
            let kind = object
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            match kind.as_str() {
                "FhirService" => given.services.push(admitted(position, &kind, &object)?),
                "IoTConnector" => given.connectors.push(admitted(position, &kind, &object)?),
                "Tenant" => given.tenants.push(Arc::new(typed(position, &kind, &object)?)),
                "ConfigMap" => given.config_maps.push(Arc::new(typed(position, &kind, &object)?)),
                // Other kinds may stand beside ours in a file; they aren't the operator's.
                _ => {}
            }
        }
        Ok(given)
    }

    fn render_service(
        &self,
        service: &FhirService,
        installation: &Arc<Installation>,
        now: Timestamp,
    ) -> Result<Vec<String>, RenderError> {
        let namespace = service.namespace().unwrap_or_default();
        let named = |connector: &&Arc<IoTConnector>| {
            connector.spec.fhir_service == service.name_any() && connector.namespace().as_deref() == Some(&namespace)
        };
        let world = fhir_service::World {
            now,
            installation: Arc::clone(installation),
            tenant: tenant::holder(&namespace, &self.tenants, installation),
            connectors: self.connectors.iter().filter(named).cloned().collect(),
            stateful_set: None,
            pods: Vec::new(),
            volume_claim: None,
            network_policies: Vec::new(),
            foreign: Vec::new(),
            cluster_issuer: Some(issuer()),
            refused: Vec::new(),
            page: None,
            probe: None,
        };
        let decision = fhir_service::decide(service, &world);
        match (fhir_service::children(&decision, &world), decision) {
            (Some(children), _) => {
                let fhir_service::Children {
                    service_account,
                    network_policy,
                    settings,
                    access,
                    volume_claim,
                    service,
                    stateful_set,
                } = children;
                Ok(vec![
                    serde_yaml::to_string(&service_account)?,
                    serde_yaml::to_string(&network_policy)?,
                    serde_yaml::to_string(&settings)?,
                    serde_yaml::to_string(&access)?,
                    serde_yaml::to_string(&volume_claim)?,
                    serde_yaml::to_string(&service)?,
                    serde_yaml::to_string(&stateful_set)?,
                ])
            }
            (None, fhir_service::Decision::Hold(source)) => Err(RenderError::Refused {
                kind: "FhirService",
                name: service.name_any(),
                source,
            }),
            (None, fhir_service::Decision::Run(_)) => Ok(Vec::new()),
        }
    }

    fn render_connector(
        &self,
        connector: &IoTConnector,
        installation: &Arc<Installation>,
        now: Timestamp,
    ) -> Result<Vec<String>, RenderError> {
        let namespace = connector.namespace().unwrap_or_default();
        let named = |service: &&Arc<FhirService>| {
            service.name_any() == connector.spec.fhir_service && service.namespace().as_deref() == Some(&namespace)
        };
        let world = iot_connector::World {
            now,
            installation: Arc::clone(installation),
            tenant: tenant::holder(&namespace, &self.tenants, installation),
            service: self.services.iter().find(named).cloned(),
            mappings: self.mappings(&namespace),
            kept_mapping: None,
            keys: None,
            stateful_set: None,
            pods: Vec::new(),
            volume_claim: None,
            foreign: Vec::new(),
            refused: Vec::new(),
            page: None,
        };
        let decision = iot_connector::decide(connector, &world);
        match (iot_connector::children(&decision, &world), decision) {
            (Some(children), _) => {
                let iot_connector::Children {
                    service_account,
                    network_policy,
                    settings,
                    mapping,
                    keys,
                    // Keys are random, and their Secrets are made once by the operator itself.
                    missing_keys: _,
                    volume_claim,
                    disruption_budget,
                    service,
                    stateful_set,
                } = children;
                let mut documents = vec![
                    serde_yaml::to_string(&service_account)?,
                    serde_yaml::to_string(&network_policy)?,
                    serde_yaml::to_string(&settings)?,
                ];
                documents.extend(mapping.as_ref().map(serde_yaml::to_string).transpose()?);
                documents.push(serde_yaml::to_string(&keys)?);
                documents.extend(volume_claim.as_ref().map(serde_yaml::to_string).transpose()?);
                documents.extend(disruption_budget.as_ref().map(serde_yaml::to_string).transpose()?);
                documents.extend([serde_yaml::to_string(&service)?, serde_yaml::to_string(&stateful_set)?]);
                Ok(documents)
            }
            (None, iot_connector::Decision::Hold(source)) => Err(RenderError::Refused {
                kind: "IoTConnector",
                name: connector.name_any(),
                source,
            }),
            (None, iot_connector::Decision::Run(_)) => Ok(Vec::new()),
        }
    }

    /// The ConfigMaps of a namespace that are labelled as mappings, by name.
    fn mappings(&self, namespace: &str) -> BTreeMap<String, Arc<ConfigMap>> {
        let labelled = |map: &&Arc<ConfigMap>| {
            map.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()) == namespace
                && map.labels().get(MAPPING_LABEL).is_some_and(|value| value == "true")
        };
        self.config_maps
            .iter()
            .filter(labelled)
            .map(|map| (map.name_any(), Arc::clone(map)))
            .collect()
    }
}

/// Where objects go that name no namespace.
const DEFAULT_NAMESPACE: &str = "default";

fn typed<K: DeserializeOwned>(position: usize, kind: &str, object: &Value) -> Result<K, RenderError> {
    K::deserialize(object).map_err(|source| RenderError::Object {
        position,
        kind: kind.to_owned(),
        source,
    })
}

/// In a cluster, its API server tells who signs tokens and with which keys.
fn issuer() -> ClusterIssuer {
    ClusterIssuer {
        issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
        jwks: r#"{"keys":[]}"#.to_owned(),
    }
}

/// The object as the API server would have it after it was admitted.
fn admitted<K>(position: usize, kind: &str, object: &Value) -> Result<Arc<K>, RenderError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let finding = Finding::holds(ConditionType::Admitted, Reason::Admitted, "rendered as if admitted");
    let condition: Condition = finding.condition(&[], None, Timestamp::now());
    let mut object = object.clone();
    object["status"] = serde_json::json!({"conditions": [condition]});
    let mut typed: K = typed(position, kind, &object)?;
    let metadata: &mut ObjectMeta = typed.meta_mut();
    metadata.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
    metadata
        .uid
        .get_or_insert_with(|| "00000000-0000-0000-0000-000000000000".to_owned());
    Ok(Arc::new(typed))
}
