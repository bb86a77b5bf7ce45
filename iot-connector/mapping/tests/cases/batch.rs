//! Kind `batch`: which readings of one batch survive.

use std::collections::BTreeSet;

use iot_mapping::{Compatibility::Upstream, DeviceMapping, FhirMapping, Grouped, Input, Message, Order, parse_time};
use serde_json::{Map, Value, json};

use crate::{
    facts::{equal, first, list, text_of},
    grouping::inputs,
    runner::Check,
};

/// Measurements, or messages that a device mapping makes measurements of.
pub fn check(case: &Value) -> Check {
    let inputs = if case["measurements"].is_array() {
        inputs(case)
    } else {
        normalised(case)?
    };
    let values_of = |input: &Input| {
        input
            .measurement
            .values
            .iter()
            .map(|(_, value)| value.clone())
            .collect()
    };
    let all: Vec<Vec<String>> = inputs.iter().map(values_of).collect();
    let types: BTreeSet<&str> = inputs.iter().map(|input| &*input.measurement.type_name).collect();
    let template = |name: &&str| {
        let template = json!({"typeName": name, "periodInterval": 1440, "codes": []});
        json!({"templateType": "CodeValueFhir", "template": template})
    };
    let templates: Vec<Value> = types.iter().map(template).collect();
    let template = json!({"templateType": "CollectionFhir", "template": templates});
    let mapping = FhirMapping::parse(&template.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let Grouped { groups, faults } = mapping.group(inputs);
    equal("faults", faults.len(), 0)?;
    let readings = groups.iter().flat_map(|group| group.values.values().flatten());
    let mut found: Vec<String> = readings.map(|reading| reading.value.clone()).collect();
    found.sort();
    let survivors = first(
        &case["expect"],
        &["survivors", "surviving", "measurements", "values", "messages"],
    );
    let survivors = survivors.ok_or("the case doesn't say what survives")?;
    if let Some(count) = survivors.as_u64() {
        return equal("survivors", found.len() as u64, count);
    }
    // Survivors are named by their places, or by what they say; a whole message says its device and time too.
    let places: Option<Vec<usize>> = list(survivors)
        .map(|place| place.as_u64().and_then(|at| at.try_into().ok()))
        .collect();
    let mut wanted: Vec<String> = match places {
        Some(places) => places
            .iter()
            .filter_map(|place| all.get(*place))
            .flatten()
            .cloned()
            .collect(),
        None => {
            let mut texts = Vec::new();
            values(survivors, &mut texts);
            texts.retain(|text| all.iter().flatten().any(|value| value == text));
            texts
        }
    };
    wanted.sort();
    equal("survivors", found, wanted)
}

/// Every text in a description of survivors.
fn values(described: &Value, into: &mut Vec<String>) {
    match described {
        Value::Array(items) => items.iter().for_each(|item| values(item, into)),
        Value::Object(members) => members.values().for_each(|value| values(value, into)),
        Value::String(text) => into.push(text.clone()),
        Value::Null => {}
        other => into.push(other.to_string()),
    }
}

fn normalised(case: &Value) -> Result<Vec<Input>, String> {
    let bodies: Vec<&Value> = list(first(case, &["messages", "bodies", "roots"]).unwrap_or(&Value::Null)).collect();
    let mapping = first(case, &["deviceTemplate"]).map_or_else(|| by_names(&bodies), text_of);
    let mapping = DeviceMapping::parse(&mapping, Upstream).map_err(|errors| format!("{errors:?}"))?;
    let mut inputs = Vec::new();
    for (source, body) in bodies.iter().enumerate() {
        let normalised = mapping.normalise(Message::Whole(body.to_string().as_bytes()));
        equal("faults", normalised.faults, Vec::new())?;
        let position = i64::try_from(source).unwrap();
        inputs.extend(normalised.measurements.into_iter().map(|measurement| Input {
            source,
            order: Order { received: 0, position },
            replay: false,
            measurement,
        }));
    }
    Ok(inputs)
}

/// A mapping for messages without one: the member that is a time is the time, ids are named so, the rest are values.
fn by_names(bodies: &[&Value]) -> String {
    let empty = Map::new();
    let members = bodies.first().and_then(|body| body.as_object()).unwrap_or(&empty);
    let named = |part: &str| members.keys().find(|name| name.to_lowercase().contains(part));
    let is_time = |value: &Value| value.as_str().is_some_and(|text| parse_time(text).is_some());
    let time = members
        .iter()
        .find(|(_, value)| is_time(value))
        .map(|(name, _)| name.as_str());
    let device = named("device").map_or("device", String::as_str);
    let is_value = |name: &str| Some(name) != time && !name.to_lowercase().ends_with("id") && name != device;
    let values: Vec<Value> = members
        .keys()
        .filter(|name| is_value(name))
        .map(|name| json!({"valueName": name, "valueExpression": format!("$.{name}"), "required": true}))
        .collect();
    let template = json!({
        "typeName": "t", "typeMatchExpression": format!("$..[?(@{device})]"), "deviceIdExpression": format!("$.{device}"),
        "timestampExpression": format!("$.{}", time.unwrap_or_default()), "values": values
    });
    json!({"templateType": "CollectionContent", "template": [{"templateType": "JsonPathContent", "template": template}]})
        .to_string()
}
