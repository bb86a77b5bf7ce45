//! Kind `identity`: whose a measurement is, by the whole connector against a FHIR server that holds what the row says.

use iot_connector_settings::{Compatibility, IdentityResolution};
use serde_json::{Value, json};

use crate::{
    UNKNOWN,
    facts::{contains, equal, first, list},
    knows,
    runner::{Check, Verdict},
    support::{Fhir, Running, settings},
};

const NAMES: [&str; 18] = [
    "mode",
    "deviceId",
    "patientId",
    "encounterId",
    "deviceSystem",
    "defaultDeviceIdentifierSystem",
    "patientSystem",
    "server",
    "resources",
    "existing",
    "expect",
    "device",
    "patient",
    "encounter",
    "errorClass",
    "created",
    "error",
    "input",
];
const KINDS: [&str; 3] = ["Device", "Patient", "Encounter"];

/// One row.
pub async fn check(row: &Value) -> Verdict {
    let mode = match row["mode"].as_str() {
        Some("Create") => IdentityResolution::Create,
        Some("Lookup") => IdentityResolution::Lookup,
        Some("LookupWithEncounter") => IdentityResolution::LookupWithEncounter,
        _ => return UNKNOWN,
    };
    let input = first(row, &["input"]).unwrap_or(row);
    let Some(device) = input["deviceId"].as_str() else {
        return UNKNOWN;
    };
    if !knows(row, &NAMES) {
        return UNKNOWN;
    }
    let text = |name: &str| {
        first(input, &[name])
            .or_else(|| first(row, &[name]))
            .and_then(Value::as_str)
    };
    let (fhir, url) = Fhir::start().await;
    let system = text("deviceSystem").or_else(|| text("defaultDeviceIdentifierSystem"));
    let identifier = |kind: &str| match kind {
        "Device" => json!([{"system": system, "value": device}]),
        "Patient" => json!([{"system": text("patientSystem"), "value": text("patientId")}]),
        _ => json!([{"value": text("encounterId")}]),
    };
    let mut resources = Vec::new();
    for held in ["server", "resources", "existing"] {
        collect(&row[held], "", &mut resources);
    }
    for resource in &mut resources {
        if resource["identifier"].is_null() {
            let kind = resource["resourceType"].as_str().unwrap_or_default();
            resource["identifier"] = identifier(kind);
        }
        fhir.insert(resource.clone());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), &url);
    settings.compatibility = Compatibility::Upstream;
    settings.identity_resolution = mode;
    settings.device_identifier_system = system.map(str::to_owned);
    settings.patient_identifier_system = text("patientSystem").map(str::to_owned);
    let connector = Running::start(settings).await;
    let message = json!({
        "device": device, "patient": text("patientId"), "encounter": text("encounterId"), "time": "2026-01-01T10:00:00Z",
        "heartrate": 60
    });
    assert_eq!(connector.send(message).await, 202);
    connector.idle().await;
    let letters = connector.dead_letters().await;
    connector.stop().await;
    compare(row.get("expect").unwrap_or(row), &fhir, &resources, &letters).into()
}

fn compare(expected: &Value, fhir: &Fhir, there: &[Value], letters: &[Value]) -> Check {
    if let Some(error) = first(expected, &["errorClass", "error"]) {
        let class = error["class"].as_str().or(error.as_str()).unwrap_or_default();
        let kind = first(expected, &["resourceType"])
            .or_else(|| first(error, &["resourceType"]))
            .and_then(Value::as_str);
        let reason = letters.first().ok_or("there is no dead letter")?["reason"]
            .as_str()
            .unwrap_or_default();
        // Upstream's class names the kind of lack, and a member of it the resource.
        return match class.trim_end_matches("Exception") {
            lack @ ("FhirResourceNotFound" | "ResourceIdentityNotDefined") => {
                let lack = lack.trim_start_matches("Fhir").trim_start_matches("Resource");
                equal(
                    "error class",
                    reason.strip_suffix(lack),
                    kind.or(reason.strip_suffix(lack)),
                )
            }
            class => equal("error class", reason, class),
        };
    }
    if let Some(letter) = letters.first() {
        return Err(format!("a dead letter: {letter}"));
    }
    let observations = fhir.all("Observation");
    let observation = observations.first().ok_or("there is no Observation")?;
    for (name, member, kind) in [
        ("device", "device", "Device"),
        ("patient", "subject", "Patient"),
        ("encounter", "encounter", "Encounter"),
    ] {
        if let Some(id) = expected[name].as_str() {
            let id = id.strip_prefix(&format!("{kind}/")).unwrap_or(id);
            equal(
                name,
                observation[member]["reference"].as_str(),
                Some(format!("{kind}/{id}").as_str()),
            )?;
        }
    }
    let mut wanted = Vec::new();
    collect(&expected["created"], "", &mut wanted);
    let made: Value = KINDS
        .iter()
        .flat_map(|kind| fhir.all(kind))
        .filter(|own| there.iter().all(|there| there["id"] != own["id"]))
        .collect();
    match list(&expected["created"]).next() {
        None if expected["created"].is_array() => equal("created", list(&made).count(), 0),
        _ => contains(&made, &Value::Array(wanted)),
    }
}

/// The resources in a description: by their type, or by the name of the member that they are in.
fn collect(described: &Value, name: &str, into: &mut Vec<Value>) {
    match described {
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, into)),
        Value::Object(members) => {
            let named = KINDS
                .iter()
                .find(|kind| name.trim_end_matches('s').eq_ignore_ascii_case(kind));
            let kind = first(described, &["resourceType", "type"])
                .and_then(Value::as_str)
                .or(named.copied());
            if let (Some(kind), true) = (kind, members.contains_key("id")) {
                let mut resource = described.clone();
                resource.as_object_mut().unwrap().shift_remove("type");
                resource["resourceType"] = kind.into();
                if let Some(reference) = described["patient"].as_str() {
                    resource["patient"] = json!({"reference": reference});
                }
                into.push(resource);
            } else {
                members.iter().for_each(|(name, value)| collect(value, name, into));
            }
        }
        _ => {}
    }
}
