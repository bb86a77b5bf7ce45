//! Device messages into the connector, Observations out of the FHIR API.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::examples::NAMESPACE;
use super::forward::Forward;
use super::http;
use crate::cluster::Access;
use crate::progress::{Progress, await_some};

const SERVICE: &str = "clinic";
const CONNECTOR_SERVICE: &str = "vitals-iot";
const KEY_SECRET: &str = "vitals-iot-default";
const ACCOUNT: &str = "clinician";
/// From the acknowledgement of a message to its Observation: the window and a moment.
const PATIENCE: Duration = Duration::from_mins(1);

/// Posts every message of `examples/messages` with the device key; each is acknowledged, so on disk. Gives their number.
pub fn send(root: &Path, access: &Access, progress: &Progress) -> Result<usize> {
    let key = access.ask(&[
        "--namespace",
        NAMESPACE,
        "get",
        "secret",
        KEY_SECRET,
        "-o",
        "go-template={{.data.key | base64decode}}",
    ])?;
    let forward = Forward::open(access, NAMESPACE, CONNECTOR_SERVICE)?;
    let files = messages(root)?;
    for file in &files {
        let message: Value = serde_json::from_str(&fs::read_to_string(file)?)
            .with_context(|| format!("`{}` isn't JSON", file.display()))?;
        let answer = http::send(forward.port, "POST", "/messages", &key, Some(&message))?;
        ensure!(
            answer.status == 202,
            "the connector answered {} to {message}: {}",
            answer.status,
            answer.body
        );
        progress.note(&format!("202 {message}"));
    }
    Ok(files.len())
}

/// Waits until the FHIR API holds an Observation of each kind that the messages are about; prints them.
pub fn read(access: &Access, progress: &Progress, sent: usize) -> Result<()> {
    let audience = format!("--audience={NAMESPACE}/{SERVICE}");
    let token = access.ask(&["--namespace", NAMESPACE, "create", "token", ACCOUNT, &audience])?;
    let forward = Forward::open(access, NAMESPACE, SERVICE)?;
    let bundle = await_some(&format!("{sent} Observations"), PATIENCE, || {
        let answer = http::send(forward.port, "GET", "/Observation?_count=20", token.trim(), None)?;
        if answer.status != 200 {
            bail!("the FHIR API answered {}: {}", answer.status, answer.body);
        }
        let found = answer.body["entry"].as_array().map_or(0, Vec::len);
        if found < sent {
            bail!("{found} of {sent} found");
        }
        Ok(Some(answer.body))
    })?;
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        progress.note(&describe(&entry["resource"]));
    }
    Ok(())
}

fn messages(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("examples/messages");
    let entries = fs::read_dir(&folder).with_context(|| format!("can't read `{}`", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

/// `Observation/id: Heart rate 72 count/min, of Patient/id`.
fn describe(observation: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let quantity = |holder: &Value| {
        let value = &holder["valueQuantity"];
        (!value.is_null()).then(|| format!(" {} {}", value["value"], text(&value["unit"])))
    };
    let of = |holder: &Value| {
        let coding = &holder["code"]["coding"][0];
        format!("{}{}", text(&coding["display"]), quantity(holder).unwrap_or_default())
    };
    let components = observation["component"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let parts: Vec<String> = std::iter::once(observation).chain(components).map(of).collect();
    let (id, subject) = (text(&observation["id"]), text(&observation["subject"]["reference"]));
    format!("Observation/{id}: {}, of {subject}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_observation_is_told_with_its_values_and_its_patient() {
        let code = |display: &str| json!({"coding": [{"display": display}]});
        let observation = json!({
            "id": "1",
            "code": code("Blood pressure panel"),
            "subject": {"reference": "Patient/p"},
            "component": [{"code": code("Systolic"), "valueQuantity": {"value": 118, "unit": "mmHg"}}],
        });
        assert_eq!(
            describe(&observation),
            "Observation/1: Blood pressure panel, Systolic 118 mmHg, of Patient/p"
        );
    }
}
