//! Resolves what is absent and refuses what isn't allowed. After this nobody looks at the raw spec again.

use fhir_operator_api::{
    Compatibility, ConditionType, DEFAULT_CONNECTION, DEFAULT_SPOOL_STORAGE, DeadLetters, DeviceIssuer, FhirService,
    IdentityResolution, IoTConnector, PodOptions, Reason, Resources, Source, Trace, Window,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::World;
use super::keys::WantedConnection;
use super::mappings::Mappings;
use crate::names::Owner;
use crate::releases::{self, Choice, Running, Wishes};
use crate::tenant::{Admissible as _, is_admitted};
use crate::volumes::VolumeRequest;
use crate::{Refusal, conditions, fhir_service, rules};

/// Messages a second that a connector is sized for if nothing is said.
pub(crate) const DEFAULT_MESSAGES_PER_SECOND: u32 = 200;

/// What is to be done about an IoTConnector.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Build and apply this.
    Run(Box<Validated>),
    /// Change nothing: what runs goes on, and the status says why.
    Hold(Refusal),
}

impl Decision {
    /// When to look again even if nothing is observed.
    pub fn next(&self) -> Option<Timestamp> {
        match self {
            Self::Run(validated) => validated.release.next,
            Self::Hold(_) => None,
        }
    }
}

/// An IoTConnector that can be built: no absence, no contradiction.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Whom the children are for.
    pub owner: Owner,
    /// Release and revision to render.
    pub release: Choice,
    /// The FhirService that it writes to.
    pub service: ServiceLink,
    /// How devices are tied to resources.
    pub identity_resolution: IdentityResolution,
    /// Identifier system of Device resources.
    pub device_identifier_system: Option<String>,
    /// Identifier system of Patient resources.
    pub patient_identifier_system: Option<String>,
    /// The mappings to mount, and what is wrong with the wanted ones.
    pub mappings: Mappings,
    /// Where messages come from beside HTTP.
    pub source: Option<Source>,
    /// The spool's volume.
    pub volume: VolumeRequest,
    /// Device credentials, sorted by name.
    pub connections: Vec<WantedConnection>,
    /// Issuers whose tokens let devices send.
    pub issuers: Vec<DeviceIssuer>,
    /// Messages a second that it is sized for.
    pub messages_per_second: u32,
    /// When a group of readings is written.
    pub window: Window,
    /// `spec.deadLetters`.
    pub dead_letters: DeadLetters,
    /// `spec.trace`.
    pub trace: Trace,
    /// Whether to do as upstream.
    pub compatibility: Compatibility,
    /// Compute resources, if named.
    pub resources: Option<Resources>,
    /// Placement.
    pub pod: PodOptions,
    /// Whether nothing is to run.
    pub suspended: bool,
}

impl Validated {
    /// Whether replicas share the work, with streams instead of a volume.
    pub(crate) fn shares_work(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.shared().is_some())
    }
}

/// The FhirService of a connector that has a place. Messages are taken and kept even while there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceLink {
    /// Its name.
    pub name: String,
    /// Why it can't be written to now.
    pub trouble: Option<Refusal>,
}

/// What is to be done about a connector.
pub fn decide(connector: &IoTConnector, world: &World) -> Decision {
    validate(connector, world).map_or_else(Decision::Hold, |validated| Decision::Run(Box::new(validated)))
}

fn validate(connector: &IoTConnector, world: &World) -> Result<Validated, Refusal> {
    has_place(connector)?;
    rules::connector_is_supported(connector)?;
    rules::source_is_usable(connector)?;
    fhir_service::taken(&world.foreign).map_or(Ok(()), Err)?;
    let spec = &connector.spec;
    rules::spool_is_ours(
        &connector.uid().unwrap_or_default(),
        &spec.fhir_service,
        world.volume_claim.as_deref(),
    )?;
    let owner = Owner::connector(connector);
    Ok(Validated {
        release: release(world)?,
        service: ServiceLink {
            name: spec.fhir_service.clone(),
            trouble: trouble(&spec.fhir_service, world.service.as_deref()),
        },
        identity_resolution: spec.identity_resolution.unwrap_or_default(),
        device_identifier_system: spec.device_identifier_system.clone(),
        patient_identifier_system: spec.patient_identifier_system.clone(),
        mappings: Mappings::resolve(spec, world),
        source: spec.source.clone(),
        volume: VolumeRequest::new(
            spec.source.as_ref().and_then(|source| source.embedded.as_ref()),
            DEFAULT_SPOOL_STORAGE,
            spec.deletion_policy,
        ),
        connections: connections(connector, &owner),
        issuers: spec
            .authentication
            .as_ref()
            .map(|authentication| authentication.issuers.clone())
            .unwrap_or_default(),
        messages_per_second: spec
            .capacity
            .and_then(|capacity| capacity.messages_per_second)
            .unwrap_or(DEFAULT_MESSAGES_PER_SECOND),
        window: spec.window.unwrap_or_default(),
        dead_letters: spec.dead_letters.unwrap_or_default(),
        trace: spec.trace.unwrap_or_default(),
        compatibility: spec.compatibility.unwrap_or_default(),
        resources: spec.resources.clone(),
        pod: spec.pod.clone().unwrap_or_default(),
        suspended: spec.suspend.unwrap_or_default(),
        owner,
    })
}

/// Nothing is provisioned without a place.
fn has_place(connector: &IoTConnector) -> Result<(), Refusal> {
    if is_admitted(connector) {
        return Ok(());
    }
    Err(conditions::refusal(connector.conditions(), ConditionType::Admitted)
        .unwrap_or_else(|| Refusal::new(Reason::Progressing, "its place in the tenant isn't decided yet")))
}

/// A connector follows the channel and the window of its service, or the installation's while there is none.
fn release(world: &World) -> Result<Choice, Refusal> {
    let service = world.service.as_deref();
    let window = service
        .and_then(|service| service.spec.maintenance_window.as_ref())
        .unwrap_or(&world.installation.maintenance_window);
    // A window that its service can't use is the service's fault; the installation's serves meanwhile.
    let window = releases::Window::try_from(window)
        .or_else(|_| releases::Window::try_from(&world.installation.maintenance_window))
        .map_err(|error| Refusal::new(Reason::NotSupported, error.to_string()))?;
    let running = world.stateful_set.as_deref().and_then(Running::of);
    releases::choose(
        &Wishes {
            pin: None,
            channel: service.and_then(|service| service.spec.channel).unwrap_or_default(),
            window: &window,
            running: running.as_ref(),
            data_schema: None,
            now: world.now,
        },
        &world.installation.catalogue,
    )
}

/// Why the service can't be written to. The connector keeps its place, and its messages wait.
fn trouble(name: &str, service: Option<&FhirService>) -> Option<Refusal> {
    let checked = rules::connector_needs_service(name, service).and_then(|service| {
        rules::connector_needs_r4(service)?;
        is_serving(name, service)
    });
    checked.err()
}

fn is_serving(name: &str, service: &FhirService) -> Result<(), Refusal> {
    let ready = conditions::find(service.conditions(), ConditionType::WorkloadReady);
    match ready {
        Some(ready) if ready.status == "True" => Ok(()),
        _ => {
            let why = ready.map_or("it is being made", |ready| ready.message.as_str());
            Err(Refusal::new(
                Reason::FhirServiceNotReady,
                format!("FhirService `{name}` doesn't serve: {why}; messages are kept meanwhile"),
            ))
        }
    }
}

/// No list: one connection named `default`. An empty list: none, so no device may send.
fn connections(connector: &IoTConnector, owner: &Owner) -> Vec<WantedConnection> {
    let mut wanted = match &connector.spec.connections {
        None => vec![WantedConnection::new(owner, DEFAULT_CONNECTION, 1)],
        Some(connections) => connections
            .iter()
            .map(|connection| WantedConnection::new(owner, &connection.name, connection.key_generation.unwrap_or(1)))
            .collect(),
    };
    wanted.sort_by(|a, b| a.connection.cmp(&b.connection));
    wanted
}
