//! What the webhook answers: the same rules as the controllers', at once. A courtesy: it can be raced and can be down.
//!
//! An update passes while the object is being deleted, and is judged only by rules whose inputs it changed.

use std::sync::Arc;

use fhir_operator_api::{FhirService, IoTConnector, IoTConnectorSpec, Reason, Tenant};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use crate::Refusal;
use crate::installation::Installation;
use crate::releases::Window;
use crate::rules::{self, Verdict};
use crate::tenant::{self, Holder, Place, is_admitted};
use crate::volumes::data_schema;

/// What a judgement needs besides the object: a live list of its tenant's objects.
#[derive(Clone, Debug)]
pub struct AdmissionWorld {
    /// The installation's values.
    pub installation: Arc<Installation>,
    /// All Tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// FhirServices of the tenant's namespaces.
    pub services: Vec<Arc<FhirService>>,
    /// IoTConnectors of the tenant's namespaces.
    pub connectors: Vec<Arc<IoTConnector>>,
    /// For a FhirService: its volume.
    pub volume_claim: Option<Arc<PersistentVolumeClaim>>,
}

/// What the webhook answers. A denial has code 403 and reason `Forbidden`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// Why not.
    pub denial: Option<Refusal>,
    /// What to tell the user although it is allowed.
    pub warnings: Vec<String>,
}

impl Judgement {
    fn of(verdict: Verdict) -> Self {
        Self {
            denial: verdict.err(),
            warnings: Vec::new(),
        }
    }

    fn allow() -> Self {
        Self::default()
    }

    fn warn(message: impl Into<String>) -> Self {
        Self {
            denial: None,
            warnings: vec![message.into()],
        }
    }
}

/// Judges a FhirService.
pub fn fhir_service(old: Option<&FhirService>, new: &FhirService, world: &AdmissionWorld) -> Judgement {
    if new.metadata.deletion_timestamp.is_some() {
        return Judgement::allow();
    }
    let verdict = service_fields(old, new, world);
    if verdict.is_err() || old.is_some() {
        return Judgement::of(verdict);
    }
    let holder = holder(new.namespace(), world);
    let quota = tenant::quota(&holder, &world.tenants, &world.installation);
    let mut services: Vec<&FhirService> = world.services.iter().map(AsRef::as_ref).collect();
    services.push(new);
    let places = tenant::places(&holder, quota, &services, &Vec::<IoTConnector>::new());
    match places.services.last().map(|placed| &placed.place) {
        Some(Place::Refused(refusal)) => Judgement::of(Err(refusal.clone())),
        _ => Judgement::allow(),
    }
}

fn service_fields(old: Option<&FhirService>, new: &FhirService, world: &AdmissionWorld) -> Verdict {
    let (spec, before) = (&new.spec, old.map(|old| &old.spec));
    if added(
        before.map(rules::unsupported_of_service),
        &rules::unsupported_of_service(spec),
    ) {
        rules::service_is_supported(new)?;
    }
    if before.map(|before| &before.maintenance_window) != Some(&spec.maintenance_window)
        && let Some(window) = &spec.maintenance_window
    {
        Window::try_from(window).map_err(|error| Refusal::new(Reason::NotSupported, error.to_string()))?;
    }
    if before.map(|before| &before.version) != Some(&spec.version)
        && let Some(pin) = &spec.version
    {
        let release = rules::release_is_known(pin, &world.installation.catalogue)?;
        rules::no_downgrade(release, data_schema(world.volume_claim.as_deref()))?;
    }
    let asked_before = old.is_some_and(rules::asks_for_private_link);
    if rules::asks_for_private_link(new) && !asked_before {
        rules::connector_keeps_private_link_off(&new.name_any(), &connectors_of(new, world))?;
    }
    Ok(())
}

/// Judges an IoTConnector. What its service lacks is a warning if it can come later, as directories are applied in any
/// order.
pub fn iot_connector(old: Option<&IoTConnector>, new: &IoTConnector, world: &AdmissionWorld) -> Judgement {
    if new.metadata.deletion_timestamp.is_some() {
        return Judgement::allow();
    }
    let verdict = connector_fields(old, new);
    if verdict.is_err() || old.is_some() {
        return Judgement::of(verdict);
    }
    let holder = holder(new.namespace(), world);
    let quota = tenant::quota(&holder, &world.tenants, &world.installation);
    let mut connectors: Vec<&IoTConnector> = world.connectors.iter().map(AsRef::as_ref).collect();
    connectors.push(new);
    let places = tenant::places(&holder, quota, &world.services, &connectors);
    match places.connectors.last().map(|placed| &placed.place) {
        Some(Place::Refused(refusal)) if can_come_later(refusal.reason) => Judgement::warn(refusal.message.clone()),
        Some(Place::Refused(refusal)) => Judgement::of(Err(refusal.clone())),
        _ => Judgement::allow(),
    }
}

fn can_come_later(reason: Reason) -> bool {
    matches!(reason, Reason::FhirServiceNotFound | Reason::FhirServiceNotAdmitted)
}

fn connector_fields(old: Option<&IoTConnector>, new: &IoTConnector) -> Verdict {
    let (spec, before) = (&new.spec, old.map(|old| &old.spec));
    if added(
        before.map(rules::unsupported_of_connector),
        &rules::unsupported_of_connector(spec),
    ) {
        rules::connector_is_supported(new)?;
    }
    if before.map(|before| &before.source) != Some(&spec.source) {
        rules::source_is_usable(new)?;
    }
    let judged = |spec: &IoTConnectorSpec| {
        (
            spec.device_mapping.clone(),
            spec.fhir_mapping.clone(),
            spec.compatibility.unwrap_or_default(),
        )
    };
    if before.map(judged) == Some(judged(spec)) {
        return Ok(());
    }
    rules::inline_mappings_are_valid(spec)
}

/// Judges a Tenant: what it changes for others is told, never denied.
pub fn tenant(old: Option<&Tenant>, new: &Tenant, world: &AdmissionWorld) -> Judgement {
    let mut warnings = Vec::new();
    let others: Vec<&Tenant> = world
        .tenants
        .iter()
        .map(AsRef::as_ref)
        .filter(|tenant: &&Tenant| tenant.name_any() != new.name_any())
        .collect();
    let had = |namespace: &String| old.is_some_and(|old| old.spec.namespaces.contains(namespace));
    for namespace in new.spec.namespaces.iter().filter(|namespace| !had(namespace)) {
        if let Some(other) = others.iter().find(|other| other.spec.namespaces.contains(namespace)) {
            warnings.push(format!(
                "namespace `{namespace}` is in Tenant `{}` too: the older of both holds it",
                other.name_any()
            ));
        }
    }
    Judgement { denial: None, warnings }
}

/// Whether something unsupported is new.
fn added(before: Option<Vec<String>>, now: &[String]) -> bool {
    let before = before.unwrap_or_default();
    now.iter().any(|path| !before.contains(path))
}

fn holder(namespace: Option<String>, world: &AdmissionWorld) -> Holder {
    tenant::holder(&namespace.unwrap_or_default(), &world.tenants, &world.installation)
}

fn connectors_of(service: &FhirService, world: &AdmissionWorld) -> Vec<String> {
    if rules::connector_needs_r4(service).is_err() {
        return Vec::new();
    }
    let mut names: Vec<String> = world
        .connectors
        .iter()
        .filter(|connector| is_admitted(connector.as_ref()))
        .filter(|connector| {
            connector.namespace() == service.namespace() && connector.spec.fhir_service == service.name_any()
        })
        .map(|connector| connector.name_any())
        .collect();
    names.sort();
    names
}
