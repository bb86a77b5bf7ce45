//! `NAME-iot-settings`: what the connector reads at start. Only what differs from its defaults is written, so that
//! neither a newer operator nor an older connector changes it.

use fhir_operator_api::DeviceIssuer;
use iot_connector_settings::{
    Capacity, DeadLetters, FhirServer, Issuer, MANAGEMENT_PORT, PORT, Settings, Spool, Window,
};
use k8s_openapi::api::core::v1::ConfigMap;

use crate::collector;
use crate::iot_connector::keys::KEYS_FILE;
use crate::iot_connector::mappings::{DEVICE_FILE, FHIR_FILE};
use crate::iot_connector::shares::Shares;
use crate::iot_connector::{Validated, World, source};
use crate::pods::{self, issuer_certificate};

/// Where the spool's volume is mounted.
pub(super) const DATA_PATH: &str = "/var/lib/iot-connector";
/// Where `NAME-iot-settings` is mounted.
pub(super) const SETTINGS_PATH: &str = "/etc/iot-connector";
/// Its key.
pub(super) const SETTINGS_FILE: &str = "settings.json";
/// Where `NAME-iot-mapping` is mounted.
pub(super) const MAPPING_PATH: &str = "/etc/iot-connector-mapping";
/// Where `NAME-iot-keys` is mounted.
pub(super) const KEYS_PATH: &str = "/etc/iot-connector-keys";
/// Where the Secret of the source is mounted.
pub(super) const SOURCE_PATH: &str = "/etc/iot-connector-source";
/// Where the Secret of the shared streams' servers is mounted.
pub(super) const STREAMS_PATH: &str = "/etc/iot-connector-streams";
/// Where the certificates of issuers are mounted.
pub(super) const CA_PATH: &str = "/etc/iot-connector-certificates";
/// Where the projected token is mounted.
pub(super) const TOKEN_PATH: &str = "/var/run/secrets/fhir-operator.dev";
/// Its file.
pub(super) const TOKEN_FILE: &str = "token";

pub(super) fn build(validated: &Validated, world: &World, text: &str) -> ConfigMap {
    let file = (SETTINGS_FILE, text);
    pods::settings(&validated.owner, &world.installation, SETTINGS_PATH, file)
}

pub(super) fn text(validated: &Validated) -> String {
    let owner = &validated.owner;
    let default = Settings::default();
    let shares = shares(validated, &default);
    let settings = Settings {
        name: Some(owner.name.clone()),
        listen: format!("0.0.0.0:{PORT}"),
        management: Some(format!("0.0.0.0:{MANAGEMENT_PORT}")),
        otlp: collector::followed(SETTINGS_PATH),
        source: source::settings(validated, SOURCE_PATH),
        spool: Spool {
            path: if validated.shares_work() {
                default.spool.path.clone()
            } else {
                format!("{DATA_PATH}/spool").into()
            },
            max_bytes: shares.spool,
            shared: validated
                .source
                .as_ref()
                .and_then(|source| source::shared(source, owner, STREAMS_PATH)),
        },
        device_mapping: Some(format!("{MAPPING_PATH}/{DEVICE_FILE}").into()),
        fhir_mapping: Some(format!("{MAPPING_PATH}/{FHIR_FILE}").into()),
        keys: Some(format!("{KEYS_PATH}/{KEYS_FILE}").into()),
        issuers: validated.issuers.iter().enumerate().map(issuer).collect(),
        fhir_server: FhirServer {
            url: format!("http://{}.{}.svc/", validated.service.name, owner.namespace),
            token_file: Some(format!("{TOKEN_PATH}/{TOKEN_FILE}").into()),
            ..default.fhir_server.clone()
        },
        identity_resolution: validated.identity_resolution,
        device_identifier_system: validated.device_identifier_system.clone(),
        patient_identifier_system: validated.patient_identifier_system.clone(),
        capacity: Capacity {
            messages_per_second: Some(validated.messages_per_second),
        },
        window: Window {
            flush_seconds: validated.window.flush_seconds.unwrap_or(default.window.flush_seconds),
            max_events: validated.window.max_events.unwrap_or(default.window.max_events),
        },
        dead_letters: DeadLetters {
            max_count: validated
                .dead_letters
                .max_count
                .map_or(default.dead_letters.max_count, u64::from),
            max_bytes: shares.dead_letters,
            max_days: validated.dead_letters.max_days,
        },
        trace: shares.trace,
        compatibility: validated.compatibility,
        ..default
    };
    format!("{:#}\n", settings.minimal())
}

fn issuer((position, issuer): (usize, &DeviceIssuer)) -> Issuer {
    Issuer {
        authority: issuer.authority.clone(),
        audiences: vec![issuer.audience.clone()],
        jwks_file: None,
        ca_file: issuer
            .ca_bundle
            .as_ref()
            .map(|_| format!("{CA_PATH}/{}", issuer_certificate(position)).into()),
        device_claim: issuer.device_claim.clone(),
    }
}

/// A volume for the whole of it, or as much as one of the default size where there is none.
fn shares(validated: &Validated, default: &Settings) -> Shares {
    let bytes = validated.volume.storage.bytes();
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    Shares::of(bytes.unwrap_or(default.spool.max_bytes / 4 * 5), validated.trace.keep)
}
