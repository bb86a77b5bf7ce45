//! From messages to Observations, and into Observations that others have written.

use std::sync::Arc;

use iot_mapping::{
    Compatibility::{self, Standard, Upstream},
    DeviceMapping, FhirMapping, FhirTemplate, Group, Input, Measurement, Message, Order, Subject, ValueKind,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::mappings::WORDS as MESSAGES;
use crate::memory;

/// What means something in an Observation.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    "null",
    "true",
    "-",
    "0",
    "1e400",
    "-0.0",
    "18446744073709551615",
    "-9223372036854775808",
    "\"effectivePeriod\":",
    "\"effectiveDateTime\":\"2026-01-01\",",
    "\"start\":\"0001-01-01T00:00:00Z\",",
    "\"end\":\"9999-12-31T23:59:59.999999999Z\",",
    "+23:59",
    "\"component\":[{",
    "\"category\":[],",
    "\"extension\":[{",
    "\"url\":\"https://fhir-operator.dev/fhir/StructureDefinition/reading-state\",",
    "\"valueString\":",
    "\"_valueString\":",
    "\"valueQuantity\":{",
    "\"value\":",
    "\"valueSampledData\":{",
    "\"period\":0,",
    "\"period\":1e-300,",
    "\"period\":1e300,",
    "\"dimensions\":2,",
    "\"data\":\"",
    " E E 1 ",
    "\\\"count\\\":18446744073709551615,",
    "\\\"sum\\\":1e308,",
    "\\\"recent\\\":[[1,1,1]],",
    "\\\"kept\\\":[9223372036854775807,0,0],",
];

/// Types of measurement with everything that a template may say.
fn fhir(compatibility: Compatibility) -> FhirMapping {
    let quantity =
        |name: &str| json!({"valueName": name, "valueType": "Quantity", "unit": "u", "code": "c", "system": "s"});
    let series = |name: &str, period: &str| json!({"valueName": name, "valueType": "SampledData", "defaultPeriod": period, "unit": "u"});
    let text = |name: &str| json!({"valueName": name, "valueType": "String"});
    let concept = |name: &str| json!({"valueName": name, "valueType": "CodeableConcept", "value": {"text": "t", "codes": [{"code": "c"}]}});
    let component = |value: Value| json!({"codes": [{"code": "c", "system": "s", "display": "d"}], "value": value});
    let template = |(name, period, value, components): (&str, i64, Value, Vec<Value>)| {
        json!({"templateType": "CodeValueFhir", "template": {
            "typeName": name, "periodInterval": period, "codes": [{"code": name}], "value": value, "components": components,
            "category": [{"text": "t", "codes": [{"code": "vital-signs"}]}]
        }})
    };
    let templates = [
        (
            "single",
            0,
            quantity("a"),
            vec![component(text("b")), component(concept("c"))],
        ),
        (
            "hourly",
            60,
            series("a", "30000"),
            vec![component(quantity("b")), component(series("c", "1000"))],
        ),
        (
            "daily",
            1440,
            text("a"),
            vec![component(series("b", "60000")), component(quantity("c"))],
        ),
        (
            "together",
            -1,
            concept("a"),
            vec![component(series("b", "500")), component(text("c"))],
        ),
    ];
    let collection = json!({"templateType": "CollectionFhir", "template": templates.map(template)});
    FhirMapping::parse(&collection.to_string(), compatibility).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Each type is found in a message that has a member of its name.
fn device(compatibility: Compatibility) -> DeviceMapping {
    let template = |name: &str| {
        let value =
            |of: &str| json!({"required": false, "valueName": of, "valueExpression": format!("$.matchedToken.{of}")});
        json!({"templateType": "CalculatedContent", "template": {
            "typeName": name, "typeMatchExpression": format!("$..[?(@{name})]"), "deviceIdExpression": "$.matchedToken.device",
            "timestampExpression": "$.matchedToken.time", "correlationIdExpression": format!("$.matchedToken.{name}"),
            "values": [value("a"), value("b"), value("c")]
        }})
    };
    let templates = ["single", "hourly", "daily", "together"].map(template);
    let collection = json!({"templateType": "CollectionContent", "template": templates});
    DeviceMapping::parse(&collection.to_string(), compatibility).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Messages of devices, with several readings and with odd ones.
fn messages() -> Vec<String> {
    let reading = |kind: &str, time: &str, value: Value| json!({kind: "x", "device": "d", "time": time, "a": value, "b": 7, "c": "8.25"});
    let mut messages = Vec::new();
    for kind in ["single", "hourly", "daily", "together"] {
        messages.push(reading(kind, "2026-01-30T22:45:02.607Z", json!(78)).to_string());
        messages.push(
            json!([
                reading(kind, "2026-01-30T22:45:02Z", json!(1)),
                reading(kind, "2026-01-30T22:45:32Z", json!("2.50")),
                reading(kind, "2026-01-30T22:59:59.999+01:00", json!(-1e30)),
            ])
            .to_string(),
        );
        messages.push(
            json!([
                reading(kind, "0001-01-01T00:00:00Z", json!("E")),
                reading(kind, "9999-12-31T23:59:59Z", json!(0))
            ])
            .to_string(),
        );
    }
    messages
}

/// Observations that nobody of us wrote.
fn foreign() -> Vec<Value> {
    let state = json!({"kept": [0, 0, 0], "count": u64::MAX, "sum": 1e308, "recent": [[0, 0, 0]]}).to_string();
    let extension =
        json!([{"url": "https://fhir-operator.dev/fhir/StructureDefinition/reading-state", "valueString": state}]);
    let period = json!({"start": "2026-01-30T22:00:00Z", "end": "2026-01-30T22:59:59.999Z"});
    vec![
        json!({"resourceType": "Observation"}),
        json!({"resourceType": "Observation", "effectiveDateTime": "2026", "valueQuantity": {"value": 1, "extension": extension}}),
        json!({"resourceType": "Observation", "effectivePeriod": {"end": "0001-01-01"}, "valueString": "x", "_valueString": {"extension": extension}}),
        json!({"resourceType": "Observation", "effectivePeriod": period, "valueSampledData": {"origin": {"value": 0}, "period": 0.001, "dimensions": 1, "data": "1 E U L x"}}),
        json!({"resourceType": "Observation", "effectivePeriod": period, "valueCodeableConcept": {}, "component": [
            {}, {"code": {"coding": [{"system": iot_mapping::SYSTEM, "code": "b"}]}, "valueSampledData": {"period": 1e300, "data": "1 2 3"}},
            {"code": {"coding": [{"system": iot_mapping::SYSTEM, "code": "c"}]}, "valueSampledData": {"data": ""}},
        ]}),
    ]
}

/// The value with each part of it in turn replaced by something of another kind.
fn odd(value: &Value) -> Vec<Value> {
    let mut all = vec![
        json!(null),
        json!(true),
        json!(-1),
        json!("x"),
        json!([]),
        json!([1]),
        json!({}),
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                for part in odd(member) {
                    let mut changed = value.clone();
                    changed[name] = part;
                    all.push(changed);
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for part in odd(item) {
                    let mut changed = value.clone();
                    changed[place] = part;
                    all.push(changed);
                }
            }
        }
        _ => {}
    }
    all
}

fn inputs(measurements: Vec<Measurement>) -> Vec<Input> {
    let input = |(place, measurement): (usize, Measurement)| Input {
        source: place,
        order: Order {
            received: 1_795_608_000_000_000,
            position: i64::try_from(place).unwrap_or_default(),
        },
        replay: place % 5 == 4,
        measurement,
    };
    measurements.into_iter().enumerate().map(input).collect()
}

/// Creates the Observation of a group, and merges the group into it and into others.
fn write(mapping: &FhirMapping, group: &Group, others: &[Value]) -> Option<Value> {
    let subject = Subject {
        device: &group.device,
        patient: "p",
        encounter: group.encounter.as_deref(),
    };
    for other in others {
        let _ = mapping.merge(other, group);
    }
    let (created, counts) = mapping.create(group, subject, Timestamp::UNIX_EPOCH).ok()?;
    assert_eq!(
        counts.total(),
        group.readings(),
        "every reading ends in one term: {group:?}"
    );
    let merged = mapping.merge(&created, group);
    assert!(merged.is_ok(), "what was made of the group can't take it: {merged:?}");
    Some(created)
}

/// Readings of every type that a mapping has, at the ends of a day and of time, become Observations.
pub fn of_any_template(mapping: &FhirMapping) {
    let others = foreign();
    for template in mapping.templates() {
        let measurements = measurements(template);
        for group in mapping.group(inputs(measurements)).groups {
            write(mapping, &group, &others);
        }
    }
}

fn measurements(template: &FhirTemplate) -> Vec<Measurement> {
    let value = |kind: &ValueKind, place: usize| match kind {
        ValueKind::Text | ValueKind::CodeableConcept(_) => format!("text {place}"),
        ValueKind::Quantity { .. } | ValueKind::SampledData { .. } => format!("{place}.50e{place}"),
    };
    let times = [
        "2026-01-30T00:00:00Z",
        "2026-01-30T00:00:00.5Z",
        "2026-01-30T23:59:59.999Z",
        "9999-12-30T00:00:00Z",
    ];
    let measurement = |(place, time): (usize, &str)| Measurement {
        type_name: template.type_name.as_str().into(),
        occurrence: time.parse().expect("a time"),
        device: "d".into(),
        patient: None,
        encounter: None,
        correlation: (place < 3).then(|| "together".to_owned()),
        values: template
            .values()
            .map(|mapping| (Arc::from(mapping.name.as_str()), value(&mapping.kind, place)))
            .collect(),
    };
    times.into_iter().enumerate().map(measurement).collect()
}

fn groups(device: &DeviceMapping, fhir: &FhirMapping, message: &str) -> Vec<Group> {
    let (body, context) = (message.as_bytes(), r#"{"Properties": {}, "SystemProperties": {}}"#);
    let measured = device.normalise(Message::Body { body, context });
    fhir.group(inputs(measured.measurements)).groups
}

#[test]
fn messages_become_observations() {
    memory::bounded();
    let pairs = [Standard, Upstream].map(|compatibility| (device(compatibility), fhir(compatibility)));
    let others = foreign();
    let written = |message: &String| groups(&pairs[0].0, &pairs[0].1, message).len();
    assert!(
        messages().iter().map(written).sum::<usize>() > 12,
        "messages become Observations"
    );
    fuzz::run("messages to Observations", &messages(), MESSAGES, 3_000, |text| {
        for (device, fhir) in &pairs {
            for group in groups(device, fhir, text) {
                write(fhir, &group, &others);
            }
        }
    });
}

#[test]
fn observations_of_others() {
    memory::bounded();
    let mappings = [Standard, Upstream].map(|compatibility| (device(compatibility), fhir(compatibility)));
    let groups: Vec<(&FhirMapping, Group)> = mappings
        .iter()
        .flat_map(|(device, fhir)| {
            let messages = messages().into_iter();
            messages.flat_map(move |message| {
                groups(device, fhir, &message)
                    .into_iter()
                    .map(move |group| (fhir, group))
            })
        })
        .collect();
    let others = foreign();
    let written = groups.iter().filter_map(|(fhir, group)| write(fhir, group, &[]));
    let seeds = written.chain(others.iter().flat_map(odd)).chain(others.clone());
    let mut seeds: Vec<String> = seeds.map(|observation| observation.to_string()).collect();
    seeds.sort();
    seeds.dedup();
    // series of a whole day are no better seeds
    seeds.retain(|seed| seed.len() < 20_000);
    fuzz::run("Observations of others", &seeds, WORDS, 2_000, |text| {
        let Ok(observation) = serde_json::from_str::<Value>(text) else {
            return;
        };
        if observation["resourceType"] != "Observation" {
            return;
        }
        for (fhir, group) in &groups {
            if let Ok(merged) = fhir.merge(&observation, group) {
                let _ = fhir.merge(&merged.observation, group);
            }
        }
    });
}
