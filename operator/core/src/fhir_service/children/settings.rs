//! `NAME-fhir-settings`: what the server reads at start. Only what differs from its defaults is written, so that
//! neither a newer operator nor a pinned older server changes it.

use fhir_operator_api::Cors;
use fhir_server_settings::{MANAGEMENT_PORT, PORT, Settings};
use k8s_openapi::api::core::v1::ConfigMap;

use crate::collector;
use crate::fhir_service::{Authentication, Validated, World};
use crate::pods;

/// Where the data volume is mounted.
pub(super) const DATA_PATH: &str = "/var/lib/fhir-server";
/// Where `NAME-fhir-settings` is mounted.
pub(super) const SETTINGS_PATH: &str = "/etc/fhir-server";
/// Its key.
pub(super) const SETTINGS_FILE: &str = "settings.json";
/// Where `NAME-fhir-access` is mounted.
pub(super) const ACCESS_PATH: &str = "/etc/fhir-server-access";
/// Its key.
pub(super) const ACCESS_FILE: &str = "access.json";
/// Its key with the cluster's JWKS.
pub(super) const JWKS_FILE: &str = "cluster-jwks.json";
/// Where the issuers' certificates are mounted.
pub(super) const CA_PATH: &str = "/etc/fhir-server-certificates";

pub(super) fn build(validated: &Validated, world: &World, text: &str) -> ConfigMap {
    let file = (SETTINGS_FILE, text);
    pods::settings(&validated.owner, &world.installation, SETTINGS_PATH, file)
}

pub(super) fn text(validated: &Validated) -> String {
    let (anonymous, access_file) = match validated.authentication {
        Authentication::Anonymous => (true, None),
        Authentication::Tokens { .. } => (false, Some(format!("{ACCESS_PATH}/{ACCESS_FILE}").into())),
    };
    let settings = Settings {
        fhir_version: Some(validated.fhir_version),
        database: format!("sqlite:{DATA_PATH}/fhir.db"),
        listen: format!("0.0.0.0:{PORT}"),
        management: Some(format!("0.0.0.0:{MANAGEMENT_PORT}")),
        otlp: collector::followed(SETTINGS_PATH),
        anonymous,
        access_file,
        cors: cors(&validated.cors),
        limits: validated.limits.clone(),
        ..Settings::default()
    };
    format!("{:#}\n", settings.minimal())
}

fn cors(cors: &Cors) -> fhir_server_settings::Cors {
    let Cors {
        origins,
        headers,
        methods,
        max_age,
        allow_credentials,
    } = cors.clone();
    fhir_server_settings::Cors {
        origins,
        headers,
        methods,
        max_age,
        allow_credentials: allow_credentials.unwrap_or_default(),
    }
}
