//! Kind `reference`: identifiers in searches, ids in references.

use iot_connector::pipeline::identity::{logical_id, token};
use serde_json::Value;

use crate::{
    UNKNOWN,
    facts::{equal, first},
    knows,
    runner::Verdict,
};

/// An identifier as a search, or the id that a reference names.
pub fn check(row: &Value) -> Verdict {
    let names = [
        "identifier",
        "value",
        "system",
        "reference",
        "search",
        "id",
        "result",
        "expected",
        "expect",
        "resourceType",
        "op",
    ];
    if !knows(row, &names) {
        return UNKNOWN;
    }
    let expected = first(row, &["result", "expected", "expect", "search"]).or_else(|| row.get("result"));
    if let Some(reference) = row["reference"].as_str() {
        let kind = row["resourceType"].as_str().unwrap_or("Patient");
        let wanted = expected.unwrap_or(&row["id"]);
        let wanted = first(wanted, &["id"]).unwrap_or(wanted).as_str();
        return equal("id", logical_id(reference, kind), wanted).into();
    }
    let identifier = first(row, &["identifier", "value"]).unwrap_or(&Value::Null);
    let value = identifier.as_str().or_else(|| identifier["value"].as_str());
    let wanted = expected.and_then(|expected| expected.as_str().or_else(|| expected["search"].as_str()));
    let (Some(value), Some(wanted)) = (value, wanted) else {
        return UNKNOWN;
    };
    if wanted.starts_with("subject=") {
        return Verdict::LeftOut("an Observation is found by its identifier, never by subject, device, code and date");
    }
    let system = row["system"].as_str().or_else(|| identifier["system"].as_str());
    equal(
        "search",
        format!("identifier={}", token(system, value)),
        wanted.to_owned(),
    )
    .into()
}
