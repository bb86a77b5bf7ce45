//! The objects of `examples/`: applied, awaited with a line for each change that a person would care about, removed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::Access;
use crate::progress::{Progress, await_some};

/// The namespace of the examples.
pub const NAMESPACE: &str = "ward-a";
/// How long the services may take to be Ready, volumes and all.
const PATIENCE: Duration = Duration::from_mins(3);

/// `kubectl apply -f examples/`.
pub fn apply(root: &Path, access: &Access) -> Result<()> {
    // the webhook's first answers may come while its certificate is on its way
    let folder = folder(root);
    await_some("the examples are taken", Duration::from_secs(30), || {
        access.ask(&["apply", "-f", &folder]).map(Some)
    })
    .map(|_| ())
}

/// Deletes what [`apply`] made, and waits until it is gone; without the operator nothing would be left to wait for.
pub fn delete(root: &Path, access: &Access) -> Result<()> {
    access
        .ask(&[
            "delete",
            "-f",
            &folder(root),
            "--ignore-not-found",
            "--wait",
            "--timeout=120s",
        ])
        .map(|_| ())
}

fn folder(root: &Path) -> String {
    root.join("examples").display().to_string()
}

/// Waits until every service and connector of the examples is Ready; tells each change of an object's reason.
pub fn await_ready(access: &Access, progress: &Progress) -> Result<()> {
    let mut told = BTreeMap::new();
    let outcome = await_some("the examples are Ready", PATIENCE, || {
        let list = access.ask(&[
            "--namespace",
            NAMESPACE,
            "get",
            "fhirservices,iotconnectors",
            "-o",
            "json",
        ])?;
        let list: Value = serde_json::from_str(&list)?;
        let items = list["items"].as_array().context("kubectl printed no list")?;
        let states: Vec<State> = items.iter().map(State::of).collect();
        for state in &states {
            if told.get(&state.name) != Some(state) {
                progress.note(&state.to_string());
                told.insert(state.name.clone(), state.clone());
            }
        }
        if states.is_empty() || !states.iter().all(|state| state.ready) {
            let waiting = states.iter().filter(|state| !state.ready).map(ToString::to_string);
            bail!("not Ready:\n  {}", waiting.collect::<Vec<_>>().join("\n  "));
        }
        Ok(Some(()))
    });
    outcome.with_context(|| format!("look at `kubectl -n {NAMESPACE} get fhir,iot,pods,events`"))
}

/// What an object says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    name: String,
    ready: bool,
    reason: String,
    message: String,
}

impl State {
    fn of(object: &Value) -> Self {
        let name = format!(
            "{}/{}",
            object["kind"].as_str().unwrap_or_default(),
            object["metadata"]["name"].as_str().unwrap_or_default()
        );
        let conditions = object["status"]["conditions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        // a condition about an older spec says nothing about this one
        let ready = ready.filter(|condition| condition["observedGeneration"] == object["metadata"]["generation"]);
        let text = |name: &str| {
            ready
                .and_then(|condition| condition[name].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            name,
            ready: text("status") == "True",
            reason: text("reason"),
            message: text("message"),
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self {
            name,
            ready,
            reason,
            message,
        } = self;
        match (ready, reason.is_empty()) {
            (_, true) => write!(f, "{name}: no status yet"),
            (true, _) => write!(f, "{name}: Ready, {reason}"),
            (false, _) => write!(f, "{name}: {reason}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(observed: u32) -> Value {
        json!({
            "kind": "FhirService",
            "metadata": {"name": "clinic", "generation": 2},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "observedGeneration": observed}]},
        })
    }

    #[test]
    fn a_condition_counts_for_its_own_generation_only() {
        assert_eq!(State::of(&service(2)).to_string(), "FhirService/clinic: Ready, Serving");
        assert!(!State::of(&service(1)).ready);
    }

    #[test]
    fn an_object_without_status_says_so() {
        let state = State::of(&json!({"kind": "IoTConnector", "metadata": {"name": "vitals"}}));
        assert_eq!(state.to_string(), "IoTConnector/vitals: no status yet");
    }
}
