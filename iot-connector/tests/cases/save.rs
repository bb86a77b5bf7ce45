//! Kind `save`: how an Observation is searched for, created, merged and tried again, by the whole connector against a FHIR
//! server with scripted answers. We keep no Observations in memory: what upstream has in its cache is what our first search
//! finds.

use iot_connector_settings::Compatibility;
use serde_json::{Value, json};

use crate::{
    UNKNOWN,
    facts::{equal, first, list},
    knows,
    runner::{Check, Verdict},
    support::{Fhir, Running, Scripted, settings},
};

const NAMES: [&str; 12] = [
    "search",
    "putResponses",
    "cache",
    "cached",
    "cacheState",
    "merge",
    "mergeResult",
    "merged",
    "changed",
    "unchanged",
    "expect",
    "mergeChanges",
];

/// One row.
pub async fn check(row: &Value) -> Verdict {
    if !knows(row, &NAMES) || row.get("search").is_none() && row.get("cache").is_none() && row.get("cached").is_none() {
        return UNKNOWN;
    }
    let found = is_there(&row["search"]);
    let cached = first(row, &["cache", "cached", "cacheState"]).is_some_and(is_there);
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.compatibility = Compatibility::Upstream;
    let connector = Running::start(settings).await;
    let message = |steps: u32| json!({"device": "d", "patient": "p", "time": "2026-01-01T10:01:00Z", "steps": steps});
    if found || cached {
        connector.send(message(1)).await;
        connector.idle().await;
    }
    let before = Figures::of(&connector, &fhir).await;
    let answer = |status: &Value| match status.as_u64() {
        Some(status @ (409 | 412)) => u16::try_from(status).ok().map(|status| Scripted {
            status,
            retry_after: None,
        }),
        _ => None,
    };
    fhir.next_puts(list(&row["putResponses"]).map(answer));
    fhir.remove_at_conflict(cached && !found);
    connector.send(message(if is_unchanged(row) { 1 } else { 2 })).await;
    connector.idle().await;
    let after = Figures::of(&connector, &fhir).await;
    connector.stop().await;
    compare(row, &before, &after, &fhir).into()
}

fn compare(row: &Value, before: &Figures, after: &Figures, fhir: &Fhir) -> Check {
    let expected = row.get("expect").unwrap_or(row);
    let mut compared = 0;
    let mut count = |what: &str, names: &[&str], found: usize| match first(expected, names).and_then(Value::as_u64) {
        Some(wanted) => {
            compared += 1;
            equal(what, found as u64, wanted)
        }
        None => Ok(()),
    };
    count("puts", &["puts", "putCount"], after.puts - before.puts)?;
    count("merges", &["merges", "mergeCount"], after.merges - before.merges)?;
    if let Some(operation) = first(expected, &["operation", "metric"]).and_then(Value::as_str) {
        compared += 1;
        let operation = operation.trim_start_matches("Observation");
        let grown: Vec<&str> = ["Created", "Updated", "NoOperation"]
            .into_iter()
            .filter(|name| after.saved(name) > before.saved(name))
            .collect();
        equal("operation", grown, vec![operation])?;
    }
    if let Some(status) = expected["status"].as_str() {
        compared += 1;
        let observations = fhir.all("Observation");
        equal(
            "status",
            observations.first().and_then(|o| o["status"].as_str()),
            Some(status),
        )?;
    }
    if compared > 0 {
        Ok(())
    } else {
        Err("the row expects nothing that is known here".to_owned())
    }
}

struct Figures {
    puts: usize,
    merges: usize,
    metrics: String,
}

impl Figures {
    async fn of(connector: &Running, fhir: &Fhir) -> Self {
        let count = |request: &str| fhir.requests().iter().filter(|own| *own == request).count();
        Self {
            puts: count("PUT Observation"),
            // Each Observation that a search finds is merged with.
            merges: count("FOUND Observation"),
            metrics: connector.metrics().await,
        }
    }

    fn saved(&self, operation: &str) -> u64 {
        let names = [operation.to_owned(), format!("Observation{operation}")];
        let lines = names.map(|name| format!("iot_connector_fhir_resource_saved_total{{operation=\"{name}\"}} "));
        let value = self
            .metrics
            .lines()
            .find_map(|own| lines.iter().find_map(|line| own.strip_prefix(line.as_str())));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

/// Whether a description of what is found says that something is.
fn is_there(described: &Value) -> bool {
    match described {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(count) => count.as_u64() != Some(0),
        Value::String(text) => {
            let text = text.to_lowercase();
            !["none", "not", "empty", "miss"].iter().any(|no| text.contains(no))
        }
        Value::Array(items) => items.iter().any(is_there),
        Value::Object(members) => members.get("found").map_or(!members.is_empty(), is_there),
    }
}

fn is_unchanged(row: &Value) -> bool {
    let says = |name: &str| {
        row[name].as_str().is_some_and(|text| {
            let text = text.to_lowercase();
            text.contains("unchanged") || text.contains("same") || text.contains("identical")
        })
    };
    ["merge", "mergeResult", "merged"].into_iter().any(says)
        || row["unchanged"] == true
        || row["changed"] == false
        || row["mergeChanges"] == false
}
