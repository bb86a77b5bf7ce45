//! Synthea's R4 bundles as STU3: types that differ little are converted, the others left out. No resource that stays
//! refers to one that doesn't.

use serde_json::{Map, Value, json};

/// Element by element: R4's name, STU3's name.
type Renamed = &'static [(&'static str, &'static str)];

/// Types that stay, and what is called otherwise.
const TYPES: &[(&str, Renamed)] = &[
    (
        "Condition",
        &[("encounter", "context"), ("recordedDate", "assertedDate")],
    ),
    ("DiagnosticReport", &[("encounter", "context")]),
    ("Encounter", &[("reasonCode", "reason")]),
    ("Immunization", &[("occurrenceDateTime", "date")]),
    ("Location", &[]),
    ("Observation", &[("encounter", "context")]),
    ("Organization", &[]),
    ("Patient", &[]),
    ("Practitioner", &[]),
    ("Procedure", &[("encounter", "context")]),
];

/// The bundle in STU3.
pub fn converted(mut bundle: Value) -> Value {
    if let Some(entries) = bundle["entry"].as_array_mut() {
        entries.retain_mut(|entry| entry["resource"].as_object_mut().is_some_and(convert));
    }
    bundle
}

/// Whether the resource stays.
fn convert(resource: &mut Map<String, Value>) -> bool {
    let of = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    let Some((of, renamed)) = TYPES.iter().find(|(name, _)| *name == of) else {
        return false;
    };
    for (from, to) in *renamed {
        if let Some(value) = resource.shift_remove(*from) {
            resource.insert((*to).to_owned(), value);
        }
    }
    match *of {
        "Condition" => {
            for name in ["clinicalStatus", "verificationStatus"] {
                if let Some(status) = resource.get_mut(name) {
                    *status = status["coding"][0]["code"].take();
                }
            }
        }
        "DiagnosticReport" => {
            if let Some(category) = resource.get_mut("category") {
                *category = category[0].take();
            }
            for performer in resource
                .get_mut("performer")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                *performer = json!({"actor": performer.take()});
            }
        }
        "Immunization" => {
            resource.insert("notGiven".to_owned(), Value::Bool(false));
        }
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_renamed_and_types_left_out() {
        let bundle = json!({"entry": [
            {"resource": {"resourceType": "Claim"}},
            {"resource": {"resourceType": "Condition", "clinicalStatus": {"coding": [{"code": "active"}]},
                "encounter": {"reference": "Encounter/1"}}},
            {"resource": {"resourceType": "DiagnosticReport", "category": [{"text": "a"}],
                "performer": [{"reference": "Practitioner/1"}]}},
        ]});
        let expected = json!({"entry": [
            {"resource": {"resourceType": "Condition", "clinicalStatus": "active",
                "context": {"reference": "Encounter/1"}}},
            {"resource": {"resourceType": "DiagnosticReport", "category": {"text": "a"},
                "performer": [{"actor": {"reference": "Practitioner/1"}}]}},
        ]});
        assert_eq!(converted(bundle), expected);
    }
}
