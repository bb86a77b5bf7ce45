//! `NAME-fhir-settings`: what the server reads at start. Only what differs from its defaults is written, so that
//! neither a newer operator nor a pinned older server changes it.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Map, Value, json};

use crate::fhir_service::{Authentication, Validated};

/// The port of the FHIR API.
pub(crate) const PORT: u16 = 8080;
/// The port of status, metrics and health.
pub const MANAGEMENT_PORT: u16 = 9090;
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
/// Where the issuers' certificates are mounted.
pub(super) const CA_PATH: &str = "/etc/fhir-server-certificates";

/// The file of an issuer's certificates.
pub(super) fn ca_file(position: usize) -> String {
    format!("issuer-{position}.pem")
}

pub(super) fn build(validated: &Validated, text: &str) -> ConfigMap {
    let owner = &validated.owner;
    ConfigMap {
        metadata: owner.metadata(owner.child_part("settings"), "configuration"),
        data: Some([(SETTINGS_FILE.to_owned(), text.to_owned())].into()),
        ..ConfigMap::default()
    }
}

pub(super) fn text(validated: &Validated) -> String {
    let mut settings = json!({
        "fhirVersion": validated.fhir_version.name(),
        "listen": format!("0.0.0.0:{PORT}"),
        "management": format!("0.0.0.0:{MANAGEMENT_PORT}"),
        "database": format!("sqlite:{DATA_PATH}/fhir.db"),
    });
    let access = match validated.authentication {
        Authentication::Anonymous => ("anonymous".to_owned(), Value::Bool(true)),
        Authentication::Tokens { .. } => (
            "accessFile".to_owned(),
            Value::String(format!("{ACCESS_PATH}/{ACCESS_FILE}")),
        ),
    };
    if let Value::Object(all) = &mut settings {
        all.extend([access]);
        // Plain structs of numbers always serialise.
        let limits = serde_json::to_value(&validated.limits).unwrap_or_else(|_| Value::Object(Map::new()));
        if limits.as_object().is_some_and(|limits| !limits.is_empty()) {
            all.insert("limits".to_owned(), limits);
        }
    }
    format!("{settings:#}\n")
}
