//! `NAME-fhir`: the server, one writer on its volume.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Volume;

use super::settings::{ACCESS_PATH, CA_PATH, DATA_PATH, SETTINGS_FILE, SETTINGS_PATH};
use crate::fhir_service::{Authentication, Validated, World};
use crate::pods::{self, Data, Workload, config_map_volume, issuer_certificates};

/// What an idle server needs, measured with room for its caches; the limit is on memory alone.
const REQUESTS: &[(&str, &str)] = &[("cpu", "50m"), ("memory", "64Mi")];
const LIMITS: &[(&str, &str)] = &[("memory", "1Gi")];

pub(super) fn build(validated: &Validated, world: &World, settings: &str) -> StatefulSet {
    let owner = &validated.owner;
    let mut mounts = vec![
        (
            config_map_volume("settings", owner.child_part("settings"), false),
            SETTINGS_PATH,
        ),
        (
            config_map_volume("access", owner.child_part("access"), false),
            ACCESS_PATH,
        ),
    ];
    mounts.extend(certificates(validated).map(|volume| (volume, CA_PATH)));
    Workload {
        owner,
        release: &validated.release,
        command: vec![
            "fhir-server".into(),
            "serve".into(),
            "--settings".into(),
            format!("{SETTINGS_PATH}/{SETTINGS_FILE}"),
        ],
        port: fhir_server_settings::PORT,
        management_port: fhir_server_settings::MANAGEMENT_PORT,
        data: Data::Volume(DATA_PATH),
        mounts,
        settings,
        resources: pods::resources(validated.resources.as_ref(), REQUESTS, LIMITS),
        options: &validated.pod,
        set_ids: world.installation.set_ids,
        suspended: validated.suspended,
        termination_seconds: 30,
    }
    .stateful_set()
}

fn certificates(validated: &Validated) -> Option<Volume> {
    let Authentication::Tokens { issuers, .. } = &validated.authentication else {
        return None;
    };
    issuer_certificates(issuers.iter().map(|issuer| issuer.ca_bundle.as_ref()))
}
