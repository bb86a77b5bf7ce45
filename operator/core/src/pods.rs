//! Pods of the servers: what all have in common, and what their state says.
//!
//! They pass Pod Security `restricted`: no root, no privileges, nothing writable but the data volume and `/tmp`.

use std::collections::BTreeMap;

use fhir_operator_api::{ConditionType, ConfigMapKey, PodOptions, Reason, Resources};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort,
    EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction, KeyToPath, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecurityContext, ServiceAccount, TopologySpreadConstraint, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest as _, Sha256};

use crate::Installation;
use crate::conditions::Finding;
use crate::names::{self, Owner, RELEASE_ANNOTATION, REVISION_ANNOTATION, SETTINGS_ANNOTATION};
use crate::releases::Choice;

/// User, group and fsGroup of the pods.
pub const POD_ID: i64 = 65532;
/// How often a container may have restarted before it counts as crash-looping while it isn't ready.
const CRASHING_RESTARTS: i32 = 3;

/// A server: one replica on its own volume, or several without one.
#[derive(Clone, Debug)]
pub struct Workload<'a> {
    /// For whom.
    pub owner: &'a Owner,
    /// Release and revision.
    pub release: &'a Choice,
    /// The command.
    pub command: Vec<String>,
    /// The port of its API.
    pub port: u16,
    /// The port of status, metrics and health.
    pub management_port: u16,
    /// What is kept where.
    pub data: Data,
    /// Mounts of ConfigMaps and tokens, with their volumes.
    pub mounts: Vec<(Volume, &'static str)>,
    /// Settings that are read at start: a change of them rolls the pod.
    pub settings: &'a str,
    /// Compute resources.
    pub resources: ResourceRequirements,
    /// Placement.
    pub options: &'a PodOptions,
    /// Whether uid, gid and fsGroup are set.
    pub set_ids: bool,
    /// Whether nothing is to run.
    pub suspended: bool,
    /// How long a shutdown may take.
    pub termination_seconds: i64,
}

/// Where a server keeps its data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Data {
    /// On a volume that is mounted here; there is one replica, since one writes.
    Volume(&'static str),
    /// With others; each of so many replicas finds its name in this environment variable.
    Shared {
        /// Replicas.
        replicas: i32,
        /// The variable.
        name_variable: &'static str,
    },
}

impl Data {
    /// Replicas that run.
    pub fn replicas(self) -> i32 {
        match self {
            Self::Volume(_) => 1,
            Self::Shared { replicas, .. } => replicas,
        }
    }
}

impl Workload<'_> {
    /// The StatefulSet: a Deployment can run two writers on one volume. Its policy is `Parallel`, because the ordered one
    /// never replaces a pod that can't become ready (Kubernetes, StatefulSet, "forced rollback").
    pub fn stateful_set(&self) -> StatefulSet {
        let mut metadata = self.owner.metadata(self.owner.child(), "server");
        metadata.annotations = Some(BTreeMap::from([
            (RELEASE_ANNOTATION.to_owned(), self.release.version.clone()),
            (REVISION_ANNOTATION.to_owned(), self.release.revision.to_string()),
        ]));
        StatefulSet {
            metadata,
            spec: Some(StatefulSetSpec {
                replicas: Some(if self.suspended { 0 } else { self.data.replicas() }),
                selector: self.owner.label_selector(),
                template: self.template(),
                pod_management_policy: Some("Parallel".to_owned()),
                update_strategy: Some(StatefulSetUpdateStrategy {
                    type_: Some("RollingUpdate".to_owned()),
                    rolling_update: None,
                }),
                ..StatefulSetSpec::default()
            }),
            status: None,
        }
    }

    fn template(&self) -> PodTemplateSpec {
        let mut labels = self.options.labels.clone();
        labels.extend(self.owner.labels("server"));
        let mut annotations = self.options.annotations.clone();
        annotations.insert(SETTINGS_ANNOTATION.to_owned(), fingerprint(self.settings));
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            }),
            spec: Some(self.pod()),
        }
    }

    fn pod(&self) -> PodSpec {
        let temporary = Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                medium: None,
                size_limit: Some(Quantity("64Mi".to_owned())),
            }),
            ..Volume::default()
        };
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        if let Data::Volume(path) = self.data {
            mounts.push(mount("data", path, false));
            volumes.push(Volume {
                name: "data".to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: self.owner.child_part("data"),
                    read_only: None,
                }),
                ..Volume::default()
            });
        }
        mounts.push(mount("tmp", "/tmp", false));
        volumes.push(temporary);
        mounts.extend(self.mounts.iter().map(|(volume, path)| mount(&volume.name, path, true)));
        volumes.extend(self.mounts.iter().map(|(volume, _)| volume.clone()));
        PodSpec {
            affinity: self.options.affinity.clone(),
            automount_service_account_token: Some(false),
            containers: vec![self.container(mounts)],
            enable_service_links: Some(false),
            image_pull_secrets: present(&self.options.image_pull_secrets),
            node_selector: (!self.options.node_selector.is_empty()).then(|| self.options.node_selector.clone()),
            priority_class_name: self.options.priority_class_name.clone(),
            security_context: Some(self.pod_security()),
            service_account_name: Some(self.owner.child()),
            termination_grace_period_seconds: Some(self.termination_seconds),
            tolerations: present(&self.options.tolerations),
            topology_spread_constraints: self.spread(),
            volumes: Some(volumes),
            ..PodSpec::default()
        }
    }

    fn pod_security(&self) -> PodSecurityContext {
        let id = self.set_ids.then_some(POD_ID);
        PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: id,
            run_as_group: id,
            fs_group: id,
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }
    }

    /// The pod's name, for replicas that tell each other apart.
    fn name_variable(&self) -> Option<EnvVar> {
        let Data::Shared { name_variable, .. } = self.data else {
            return None;
        };
        Some(EnvVar {
            name: name_variable.to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.name".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        })
    }

    /// Replicas that share work go to different nodes where there are some, unless the user says how they are spread.
    fn spread(&self) -> Option<Vec<TopologySpreadConstraint>> {
        let wanted = present(&self.options.topology_spread_constraints);
        if wanted.is_some() || self.data.replicas() == 1 {
            return wanted;
        }
        Some(vec![TopologySpreadConstraint {
            label_selector: Some(self.owner.label_selector()),
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }])
    }

    fn container(&self, mounts: Vec<VolumeMount>) -> Container {
        Container {
            name: self.owner.program.to_owned(),
            image: Some(self.release.image.clone()),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            command: Some(self.command.clone()),
            env: self.name_variable().map(|variable| vec![variable]),
            ports: Some(vec![port("http", self.port), port("management", self.management_port)]),
            // Started once a second, so that a service is ready as soon as it can be; a long migration has ten minutes.
            startup_probe: Some(probe("/health/live", 1, 600)),
            readiness_probe: Some(probe("/health/ready", 5, 2)),
            liveness_probe: Some(probe("/health/live", 10, 3)),
            resources: Some(self.resources.clone()),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                capabilities: Some(Capabilities {
                    add: None,
                    drop: Some(vec!["ALL".to_owned()]),
                }),
                read_only_root_filesystem: Some(true),
                ..SecurityContext::default()
            }),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(mounts),
            ..Container::default()
        }
    }
}

fn present<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("management".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// `NAME-KIND-settings`: the settings file that a program reads at start, and beside it what it follows.
pub fn settings(owner: &Owner, installation: &Installation, folder: &str, (file, text): (&str, &str)) -> ConfigMap {
    let mut data = installation.collector.files(owner, folder);
    data.insert(file.to_owned(), text.to_owned());
    ConfigMap {
        metadata: owner.metadata(owner.child_part("settings"), "configuration"),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// A volume with the keys of a ConfigMap. With `optional`, the pod starts without it.
pub fn config_map_volume(name: &str, config_map: String, optional: bool) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map,
            optional: optional.then_some(true),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The file of an issuer's certificates in [`issuer_certificates`].
pub fn issuer_certificate(position: usize) -> String {
    format!("issuer-{position}.pem")
}

/// The CA bundles of issuers as one volume, a file an issuer; `None` where no issuer has one.
pub fn issuer_certificates<'a>(bundles: impl Iterator<Item = Option<&'a ConfigMapKey>>) -> Option<Volume> {
    let sources: Vec<VolumeProjection> = bundles
        .enumerate()
        .filter_map(|(position, bundle)| {
            let bundle = bundle?;
            Some(VolumeProjection {
                config_map: Some(ConfigMapProjection {
                    name: bundle.config_map.clone(),
                    items: Some(vec![KeyToPath {
                        key: bundle.key.clone(),
                        path: issuer_certificate(position),
                        mode: None,
                    }]),
                    optional: None,
                }),
                ..VolumeProjection::default()
            })
        })
        .collect();
    (!sources.is_empty()).then(|| Volume {
        name: "issuer-certificates".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: None,
            sources: Some(sources),
        }),
        ..Volume::default()
    })
}

/// The pod's own ServiceAccount, without any right and without a token.
pub fn service_account(owner: &Owner) -> ServiceAccount {
    ServiceAccount {
        metadata: owner.metadata(owner.child(), "identity"),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What the user asks for, with our defaults where nothing is said.
pub fn resources(
    wanted: Option<&Resources>,
    default_requests: &[(&str, &str)],
    default_limits: &[(&str, &str)],
) -> ResourceRequirements {
    let merge = |wanted: Option<&BTreeMap<String, Quantity>>, default: &[(&str, &str)]| {
        let mut merged: BTreeMap<String, Quantity> = default
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned())))
            .collect();
        merged.extend(wanted.cloned().unwrap_or_default());
        Some(merged)
    };
    // Whoever names a request or limit decides about both: a default limit below a wanted request would be refused.
    let default_limits = if wanted.is_some_and(|wanted| !wanted.requests.is_empty() || !wanted.limits.is_empty()) {
        &[]
    } else {
        default_limits
    };
    let default_requests = if wanted.is_some_and(|wanted| !wanted.limits.is_empty() && wanted.requests.is_empty()) {
        &[]
    } else {
        default_requests
    };
    ResourceRequirements {
        requests: merge(wanted.map(|wanted| &wanted.requests), default_requests).filter(|all| !all.is_empty()),
        limits: merge(wanted.map(|wanted| &wanted.limits), default_limits).filter(|all| !all.is_empty()),
        claims: None,
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of a text.
pub fn fingerprint(text: &str) -> String {
    let bytes: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let first = bytes
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

/// `WorkloadReady`, from the StatefulSet and its pods.
pub fn finding<P: std::borrow::Borrow<Pod>>(
    owner: &Owner,
    suspended: bool,
    workload: Option<&StatefulSet>,
    pods: &[P],
) -> Finding {
    let fails = |reason, message: String| Finding::fails(ConditionType::WorkloadReady, reason, message);
    if suspended {
        return fails(
            Reason::Suspended,
            "spec.suspend is set: data and configuration are kept, nothing runs".to_owned(),
        );
    }
    let Some(workload) = workload else {
        return fails(Reason::Progressing, "the pod is being made".to_owned());
    };
    let own: Vec<&Pod> = pods
        .iter()
        .map(std::borrow::Borrow::borrow)
        .filter(|pod: &&Pod| selects(owner, &pod.metadata) && pod.metadata.deletion_timestamp.is_none())
        .collect();
    if own.is_empty() {
        return fails(
            Reason::Progressing,
            format!("StatefulSet `{}` has no pod yet", owner.child()),
        );
    }
    let wanted = replicas(workload);
    let ready = own.iter().filter(|pod| is_ready(pod)).count();
    if let Some((reason, message)) = own.iter().find_map(|pod| trouble(pod)) {
        return fails(reason, of_all(ready, wanted, message));
    }
    if ready >= wanted && is_rolled_out(workload) {
        return Finding::holds(
            ConditionType::WorkloadReady,
            Reason::Running,
            format!("{wanted} of {wanted} pods ready"),
        );
    }
    // While pods are replaced one by one, the last of them may be ready already.
    let starting = own.iter().find(|pod| !is_ready(pod)).or(own.first());
    let starting = starting.map(|pod| name(pod)).unwrap_or_default();
    fails(
        Reason::Progressing,
        of_all(ready, wanted, format!("pod `{starting}` is starting")),
    )
}

/// Pods that a workload is told to run.
fn replicas(workload: &StatefulSet) -> usize {
    let told = workload.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    usize::try_from(told).unwrap_or(1)
}

/// What is wrong with one of several pods, and how many work.
fn of_all(ready: usize, wanted: usize, message: String) -> String {
    if wanted == 1 {
        return message;
    }
    format!("{ready} of {wanted} pods ready; {message}")
}

/// Whether a workload is told to run nothing.
pub fn is_suspended(workload: &StatefulSet) -> bool {
    workload.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
}

fn selects(owner: &Owner, metadata: &ObjectMeta) -> bool {
    owner
        .selector()
        .iter()
        .all(|(key, value)| names::label(metadata, key) == Some(value.as_str()))
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn is_rolled_out(workload: &StatefulSet) -> bool {
    let Some(status) = workload.status.as_ref() else {
        return false;
    };
    let seen = status.observed_generation.unwrap_or_default() >= workload.metadata.generation.unwrap_or_default();
    seen && (status.update_revision.is_none()
        || status.current_revision == status.update_revision
        || status
            .updated_replicas
            .is_some_and(|updated| usize::try_from(updated).unwrap_or(0) == replicas(workload)))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What keeps a pod from becoming ready, if its status tells.
fn trouble(pod: &Pod) -> Option<(Reason, String)> {
    let status = pod.status.as_ref()?;
    let name = name(pod);
    let unscheduled =
        status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        });
    if let Some(condition) = unscheduled {
        let message = condition.message.as_deref().unwrap_or("no node takes it");
        return Some((
            Reason::Unschedulable,
            format!("pod `{name}` can't be placed: {message}"),
        ));
    }
    let container = status.container_statuses.as_ref()?.first()?;
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let detail = waiting
        .and_then(|waiting| waiting.message.as_deref())
        .unwrap_or_default();
    match waiting
        .and_then(|waiting| waiting.reason.as_deref())
        .unwrap_or_default()
    {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            return Some((
                Reason::ImagePullFailed,
                format!("image `{}` can't be pulled: {detail}", container.image),
            ));
        }
        "CreateContainerConfigError" => {
            return Some((
                Reason::SecretMissing,
                format!("pod `{name}` lacks something that it mounts: {detail}"),
            ));
        }
        _ => {}
    }
    let crashing = container.restart_count >= CRASHING_RESTARTS && !container.ready
        || waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
    crashing.then(|| {
        let last = container
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let said = last
            .and_then(|last| last.message.as_deref())
            .unwrap_or("it said nothing");
        let said = said.trim().lines().last().unwrap_or("it said nothing");
        (
            Reason::CrashLooping,
            format!(
                "pod `{name}` ended {} times, last with: {said}; `kubectl logs {name} --previous` has all",
                container.restart_count
            ),
        )
    })
}
