//! `NAME-iot`: the connector with a token for its FhirService: one writer on its spool, or replicas that share one.

use fhir_operator_api::Source;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::settings::{
    CA_PATH, DATA_PATH, KEYS_PATH, MAPPING_PATH, SETTINGS_FILE, SETTINGS_PATH, SOURCE_PATH, STREAMS_PATH, TOKEN_FILE,
    TOKEN_PATH,
};
use crate::iot_connector::{Validated, World};
use crate::names::audience;
use crate::pods::{self, Data, Workload, config_map_volume, issuer_certificates};

/// For how long a token is valid; kubelet renews it at four fifths.
const TOKEN_SECONDS: i64 = 3600;
/// Messages a second that a core takes through the pipeline with room to spare, FHIR client included.
const MESSAGES_PER_CORE: u32 = 2_000;
const MEMORY_REQUEST: &str = "64Mi";
const MEMORY_LIMIT: &str = "1Gi";

pub(super) fn build(validated: &Validated, world: &World, settings: &str) -> StatefulSet {
    let owner = &validated.owner;
    let cpu = cpu(validated.messages_per_second);
    Workload {
        owner,
        release: &validated.release,
        command: vec![
            "iot-connector".into(),
            "run".into(),
            "--settings".into(),
            format!("{SETTINGS_PATH}/{SETTINGS_FILE}"),
        ],
        port: iot_connector_settings::PORT,
        management_port: iot_connector_settings::MANAGEMENT_PORT,
        data: data(validated),
        mounts: [
            (
                config_map_volume("settings", owner.child_part("settings"), false),
                SETTINGS_PATH,
            ),
            (
                config_map_volume("mapping", owner.child_part("mapping"), true),
                MAPPING_PATH,
            ),
            (config_map_volume("keys", owner.child_part("keys"), false), KEYS_PATH),
            (token(validated), TOKEN_PATH),
        ]
        .into_iter()
        .chain(source_secret(validated).map(|volume| (volume, SOURCE_PATH)))
        .chain(streams_secret(validated).map(|volume| (volume, STREAMS_PATH)))
        .chain(certificates(validated).map(|volume| (volume, CA_PATH)))
        .collect(),
        settings,
        resources: pods::resources(
            validated.resources.as_ref(),
            &[("cpu", cpu.as_str()), ("memory", MEMORY_REQUEST)],
            &[("memory", MEMORY_LIMIT)],
        ),
        options: &validated.pod,
        set_ids: world.installation.set_ids,
        suspended: validated.suspended,
        termination_seconds: 60,
    }
    .stateful_set()
}

/// The variable that names a replica among those that share the work (`spool.shared.member`).
const MEMBER_VARIABLE: &str = "IOT_CONNECTOR_SPOOL_SHARED_MEMBER";
/// Replicas where the work is shared and their number isn't named.
const DEFAULT_REPLICAS: u32 = 2;

/// Where messages are kept, and by how many replicas.
pub(super) fn data(validated: &Validated) -> Data {
    match validated.source.as_ref().and_then(Source::shared) {
        None => Data::Volume(DATA_PATH),
        Some(shared) => Data::Shared {
            replicas: i32::try_from(shared.replicas.unwrap_or(DEFAULT_REPLICAS)).unwrap_or(i32::MAX),
            name_variable: MEMBER_VARIABLE,
        },
    }
}

/// The Secret of the source. Without it the connector runs, takes messages by HTTP, and says what is missing.
fn source_secret(validated: &Validated) -> Option<Volume> {
    let name = validated.source.as_ref()?.secret_name()?;
    Some(secret("source", name))
}

/// The Secret of the servers of shared streams, where those aren't the source's. Without it the connector runs, and says
/// what is missing.
fn streams_secret(validated: &Validated) -> Option<Volume> {
    let nats = validated.source.as_ref()?.shared()?.nats.as_ref()?;
    Some(secret("streams", nats.secret_name.as_deref()?))
}

fn secret(volume: &str, name: &str) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.to_owned()),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn certificates(validated: &Validated) -> Option<Volume> {
    issuer_certificates(validated.issuers.iter().map(|issuer| issuer.ca_bundle.as_ref()))
}

/// In the form that Kubernetes keeps, so that nothing differs from what is stored.
fn cpu(messages_per_second: u32) -> String {
    match (messages_per_second * 1000 / MESSAGES_PER_CORE).max(50) {
        whole if whole % 1000 == 0 => (whole / 1000).to_string(),
        millis => format!("{millis}m"),
    }
}

/// The token with which the connector presents itself to its service, and to nobody else.
fn token(validated: &Validated) -> Volume {
    Volume {
        name: "token".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: None,
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(audience(&validated.owner.namespace, &validated.service.name)),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: TOKEN_FILE.to_owned(),
                }),
                ..VolumeProjection::default()
            }]),
        }),
        ..Volume::default()
    }
}
