//! What the README's commands without a cluster use: it loads, and every example message becomes an Observation.

use std::path::Path;

use iot_connector_settings::Settings;
use iot_mapping::{Compatibility, Message, dry_run};

#[test]
fn the_standalone_example_maps_every_example_message() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = |path: &Path| std::fs::read_to_string(root.join(path)).unwrap();
    let settings: Settings = serde_yaml::from_str(&text(Path::new("examples/standalone/connector.yaml"))).unwrap();
    settings.validate().unwrap();
    let (device, fhir) = (settings.device_mapping.unwrap(), settings.fhir_mapping.unwrap());
    let (device, fhir) = (text(&device), text(&fhir));
    let messages: Vec<Vec<u8>> = std::fs::read_dir(root.join("examples/messages"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let bodies: Vec<Message<'_>> = messages
        .iter()
        .map(|body| Message::Body { body, context: "{}" })
        .collect();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let report = dry_run(Some(&device), Some(&fhir), &bodies, Compatibility::Standard, now);
    assert!(
        !report.has_errors() && report.template_warnings.is_empty(),
        "{report:?}"
    );
    assert!(!report.messages.is_empty() && report.messages.iter().all(|message| message.observations.len() == 1));
}
