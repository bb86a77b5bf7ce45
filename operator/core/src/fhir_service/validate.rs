//! Resolves what is absent and refuses what isn't allowed. After this nobody looks at the raw spec again.

use fhir_operator_api::{
    AccessGrant, Cors, DEFAULT_SQLITE_STORAGE, DatabaseKind, FhirService, FhirVersion, Issuer, Limits, PodOptions,
    PublicNetworkAccess, Reason, Resources,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;

use super::World;
use crate::names::Owner;
use crate::refusal::Refusal;
use crate::releases::{self, Choice, Running, Window, Wishes};
use crate::tenant::{self, Admissible as _, is_admitted};
use crate::volumes::{VolumeRequest, data_schema};
use crate::{conditions, rules};
use fhir_operator_api::ConditionType;

/// What is to be done about a FhirService.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Build and apply this.
    Run(Box<Validated>),
    /// Change nothing: what runs goes on, and the status says why.
    Hold(Refusal),
}

impl Decision {
    /// When to look again even if nothing is observed.
    pub fn next(&self) -> Option<jiff::Timestamp> {
        match self {
            Self::Run(validated) => validated.release.next,
            Self::Hold(_) => None,
        }
    }
}

/// A FhirService that can be built: no absence, no contradiction.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Whom the children are for.
    pub owner: Owner,
    /// FHIR version.
    pub fhir_version: FhirVersion,
    /// Release and revision to render.
    pub release: Choice,
    /// The highest schema of data and release.
    pub schema: Option<u32>,
    /// Kind of database.
    pub database: DatabaseKind,
    /// The SQLite volume.
    pub volume: VolumeRequest,
    /// Compute resources, if named.
    pub resources: Option<Resources>,
    /// Placement.
    pub pod: PodOptions,
    /// Who may present themselves.
    pub authentication: Authentication,
    /// Who may do what.
    pub access: Vec<AccessGrant>,
    /// Names of the admitted connectors, sorted.
    pub connectors: Vec<String>,
    /// Who reaches the FHIR port when Private Link isn't in force.
    pub public_network_access: PublicNetworkAccess,
    /// Private Link.
    pub private_link: PrivateLink,
    /// Cross-origin requests.
    pub cors: Cors,
    /// Limits that differ from the server's.
    pub limits: Limits,
    /// Whether nothing is to run.
    pub suspended: bool,
}

/// Authentication in force.
#[derive(Clone, Debug, PartialEq)]
pub enum Authentication {
    /// Everybody may do everything.
    Anonymous,
    /// Bearer tokens.
    Tokens {
        /// Issuers that are found by discovery.
        issuers: Vec<Issuer>,
        /// Whether tokens of the cluster's ServiceAccounts are accepted from anybody; connectors' always are.
        service_accounts: bool,
    },
}

impl Authentication {
    /// As status shows it.
    pub fn summary(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Tokens {
                issuers,
                service_accounts,
            } => {
                let mut parts = Vec::new();
                if !issuers.is_empty() {
                    parts.push(format!("issuers: {}", issuers.len()));
                }
                if *service_accounts {
                    parts.push("serviceAccounts".to_owned());
                }
                parts.join(", ")
            }
        }
    }
}

/// Private Link, resolved against the service's connectors.
#[derive(Clone, Debug, PartialEq)]
pub enum PrivateLink {
    /// Not asked for.
    Off,
    /// In force: pods of these namespaces only.
    On(LabelSelector),
    /// Asked for, and kept off by a connector that was there first.
    Refused(Refusal),
}

/// What is to be done about a service.
pub fn decide(service: &FhirService, world: &World) -> Decision {
    validate(service, world).map_or_else(Decision::Hold, |validated| Decision::Run(Box::new(validated)))
}

fn validate(service: &FhirService, world: &World) -> Result<Validated, Refusal> {
    has_place(service)?;
    rules::service_is_supported(service)?;
    names_are_free(world)?;
    rules::data_is_ours(service, world.volume_claim.as_deref())?;

    let spec = &service.spec;
    let window = spec
        .maintenance_window
        .as_ref()
        .unwrap_or(&world.installation.maintenance_window);
    let window = Window::try_from(window).map_err(|error| Refusal::new(Reason::NotSupported, error.to_string()))?;
    let running = world.stateful_set.as_deref().and_then(Running::of);
    let data_schema = data_schema(world.volume_claim.as_deref());
    let release = releases::choose(
        &Wishes {
            pin: spec.version.as_deref(),
            channel: spec.channel.unwrap_or_default(),
            window: &window,
            running: running.as_ref(),
            data_schema,
            now: world.now,
        },
        &world.installation.catalogue,
    )?;
    let connectors = writing_connectors(service, world);
    Ok(Validated {
        owner: Owner::service(service),
        fhir_version: spec.fhir_version,
        schema: release.schema.max(data_schema),
        release,
        database: spec
            .database
            .as_ref()
            .map_or(DatabaseKind::Sqlite, fhir_operator_api::Database::kind),
        volume: VolumeRequest::new(
            spec.database.as_ref().and_then(|database| database.sqlite.as_ref()),
            DEFAULT_SQLITE_STORAGE,
            spec.deletion_policy,
        ),
        resources: spec.resources.clone(),
        pod: spec.pod.clone().unwrap_or_default(),
        authentication: authentication(&spec.authentication),
        access: spec.access.clone(),
        public_network_access: spec
            .networking
            .as_ref()
            .and_then(|networking| networking.public_network_access)
            .unwrap_or_default(),
        private_link: private_link(service, &connectors),
        connectors,
        cors: spec.cors.clone().unwrap_or_default(),
        limits: spec.limits.clone().unwrap_or_default(),
        suspended: spec.suspend.unwrap_or_default(),
    })
}

/// Nothing is provisioned without a place.
fn has_place(service: &FhirService) -> Result<(), Refusal> {
    if is_admitted(service) {
        return Ok(());
    }
    Err(conditions::refusal(service.conditions(), ConditionType::Admitted)
        .unwrap_or_else(|| Refusal::new(Reason::Progressing, "its place in the tenant isn't decided yet")))
}

fn names_are_free(world: &World) -> Result<(), Refusal> {
    taken(&world.foreign).map_or(Ok(()), Err)
}

/// The refusal for objects that have a child's name and aren't ours.
pub(crate) fn taken(foreign: &[super::Foreign]) -> Option<Refusal> {
    let first = foreign.first()?;
    Some(Refusal::new(
        Reason::NameTaken,
        format!(
            "{} `{}` exists and isn't the operator's: rename this object, or remove that one",
            first.kind, first.name
        ),
    ))
}

/// Names of the connectors that have a place and may write to this service, sorted. A place outlives its service, so an
/// STU3 service of the same name may meet connectors that it can't serve.
fn writing_connectors(service: &FhirService, world: &World) -> Vec<String> {
    if rules::connector_needs_r4(service).is_err() {
        return Vec::new();
    }
    let admitted = world
        .connectors
        .iter()
        .filter(|connector| tenant::is_admitted(connector.as_ref()));
    let mut names: Vec<String> = admitted.map(|connector| connector.name_any()).collect();
    names.sort();
    names
}

fn authentication(wanted: &fhir_operator_api::Authentication) -> Authentication {
    if wanted.anonymous == Some(true) {
        return Authentication::Anonymous;
    }
    Authentication::Tokens {
        issuers: wanted.issuers.clone(),
        service_accounts: wanted.service_accounts.unwrap_or_default(),
    }
}

fn private_link(service: &FhirService, connectors: &[String]) -> PrivateLink {
    let asked = service
        .spec
        .networking
        .as_ref()
        .and_then(|networking| networking.private_link.as_ref());
    let Some(asked) = asked else { return PrivateLink::Off };
    match rules::connector_keeps_private_link_off(&service.name_any(), connectors) {
        Ok(()) => PrivateLink::On(asked.allowed_namespaces.clone()),
        Err(refusal) => PrivateLink::Refused(refusal),
    }
}
