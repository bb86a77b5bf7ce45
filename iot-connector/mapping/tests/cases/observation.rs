//! Kinds `fhir` and `fhirValues`: Observations made and merged, and their values.

use iot_mapping::{Compatibility::Upstream, FhirMapping, Group, Order, Reading};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    facts::{contains, equal, first, list, time},
    runner::Check,
};

/// The group `{start, end, values: {NAME: [[TIME, VALUE], …]}}`.
pub fn group_of(value: &Value, type_name: &str) -> Group {
    let values = value["values"].as_object().into_iter().flatten().map(|(name, points)| {
        let readings = list(points).enumerate().map(|(index, point)| Reading {
            time: time(&point[0]),
            value: point[1].as_str().map_or_else(|| point[1].to_string(), str::to_owned),
            order: Order {
                received: 0,
                position: i64::try_from(index).unwrap(),
            },
            replay: false,
        });
        (name.clone(), readings.collect())
    });
    Group {
        type_name: type_name.to_owned(),
        device: "device".to_owned(),
        patient: None,
        encounter: None,
        start: time(&value["start"]),
        end: time(&value["end"]),
        segment: String::new(),
        values: values.collect(),
        superseded: 0,
        event: false,
        sources: Vec::new(),
    }
}

/// A whole Observation.
pub fn check(case: &Value) -> Check {
    let collection = json!({"templateType": "CollectionFhir", "template": [
        {"templateType": "CodeValueFhir", "template": case["fhirTemplate"]}
    ]});
    let mapping = FhirMapping::parse(&collection.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let template = mapping.templates().next().ok_or("no template")?;
    let group = group_of(&case["group"], &template.type_name);
    let expected = &case["expect"];
    let result = match case.get("existing").filter(|existing| !existing.is_null()) {
        None => template
            .create(&group, Timestamp::UNIX_EPOCH, Upstream)
            .map(|(observation, _)| observation),
        Some(existing) => template
            .merge(existing, &group, Upstream)
            .map(|merged| merged.observation),
    };
    let observation = match (
        result,
        expected["errorClass"]
            .as_str()
            .or_else(|| expected["error"]["class"].as_str()),
    ) {
        (Err(error), Some(class)) => return equal("error class", error.name(), class),
        (Ok(_), Some(class)) => return Err(format!("no error {class}")),
        (result, None) => result.map_err(|error| error.to_string())?,
    };
    expected
        .as_object()
        .into_iter()
        .flatten()
        .try_for_each(|(name, wanted)| match name.as_str() {
            "observation" => contains(&observation, wanted),
            "valueAbsent" => {
                let has_value = observation
                    .as_object()
                    .into_iter()
                    .flatten()
                    .any(|(name, _)| is_value(name));
                equal("value", !has_value, *wanted == true)
            }
            "issuedPresent" => equal("issued", observation["issued"].is_string(), *wanted == true),
            "statusUnchangedByMerge" => equal("status", &observation["status"], &case["existing"]["status"]),
            other => match other.strip_suffix("Absent") {
                Some(member) => equal(member, observation.get(member).is_none(), *wanted == true),
                // Anything else is a member of the Observation.
                None => contains(&observation[other], wanted).map_err(|reason| format!("{other}: {reason}")),
            },
        })
}

/// One value of an Observation that spans an hour.
pub fn check_value(row: &Value) -> Check {
    let mut value = row["valueTemplate"].clone();
    if value["valueName"].is_null() {
        value["valueName"] = json!("v");
    }
    let name = value["valueName"].as_str().unwrap_or_default().to_owned();
    let collection = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "codes": [], "periodInterval": 60, "value": value
    }}]});
    let mapping = FhirMapping::parse(&collection.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let template = mapping.templates().next().ok_or("no template")?;
    let points: Vec<Value> = list(&row["values"])
        .enumerate()
        .map(|(second, point)| {
            if point.is_array() {
                point.clone()
            } else {
                json!([format!("2019-01-01T00:00:{second:02}Z"), point])
            }
        })
        .collect();
    let bound = |name: &str, default: &str| {
        row.get(name)
            .filter(|v| v.is_string())
            .cloned()
            .unwrap_or(json!(default))
    };
    let start = bound("start", "2019-01-01T00:00:00Z");
    let end = bound("end", "2019-01-01T00:59:59.9999999Z");
    let group = group_of(&json!({"start": start, "end": end, "values": {name: points}}), "t");
    let result = match first(row, &["existing"]) {
        None => template
            .create(&group, Timestamp::UNIX_EPOCH, Upstream)
            .map(|(made, _)| made),
        Some(existing) => {
            let mut there = json!({"resourceType": "Observation", "effectivePeriod": {"start": start, "end": end}});
            let (kind, element) = element(existing, value["valueType"].as_str().unwrap_or_default());
            there[kind] = element;
            template
                .merge(&there, &group, Upstream)
                .map(|merged| merged.observation)
        }
    };
    let expected = row.get("expect").unwrap_or(row);
    match (result, first(expected, &["errorClass", "error"])) {
        (Err(error), Some(class)) => equal(
            "error class",
            Some(error.name()),
            class["class"].as_str().or(class.as_str()),
        ),
        (Ok(observation), Some(class)) => Err(format!("no error {class}: {observation}")),
        (Err(error), None) => Err(error.to_string()),
        (Ok(observation), None) => {
            let found = observation
                .as_object()
                .into_iter()
                .flatten()
                .find(|(name, _)| is_value(name));
            let wanted = first(expected, &["element", "result"]).or_else(|| row.get("expect"));
            let wanted = wanted.ok_or("the case doesn't say what is expected")?;
            if wanted
                .as_object()
                .is_some_and(|wanted| wanted.keys().any(|name| is_value(name)))
            {
                return contains(&observation, wanted);
            }
            contains(found.map_or(&Value::Null, |(_, value)| value), wanted)
        }
    }
}

/// `value[x]` with its type.
fn is_value(name: &str) -> bool {
    name.strip_prefix("value")
        .is_some_and(|kind| kind.starts_with(char::is_uppercase))
        && name != "valueType"
}

/// The member of an Observation that an existing value is: `{"valueString": "x"}`, `{"type": "String", "value": "x"}`, or
/// the bare value of the template's own type.
fn element(existing: &Value, own: &str) -> (String, Value) {
    let named = existing
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| is_value(name));
    if let Some((name, value)) = named {
        return (name.clone(), value.clone());
    }
    let Some(kind) = first(existing, &["valueType", "type", "fhirType"]).and_then(Value::as_str) else {
        return (format!("value{own}"), existing.clone());
    };
    let kind = kind.trim_start_matches("Fhir");
    let value = first(existing, &["element", "value"]).unwrap_or(existing);
    (
        format!("value{}{}", kind[..1].to_uppercase(), &kind[1..]),
        value.clone(),
    )
}
