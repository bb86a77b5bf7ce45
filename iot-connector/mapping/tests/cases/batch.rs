//! Kind `batch`: which readings of one batch survive.

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
    let measured = |input: &Input| {
        input
            .measurement
            .values
            .iter()
            .map(|(_, value)| value.clone())
            .collect::<Vec<_>>()
    };
    let all: Vec<String> = inputs.iter().flat_map(measured).collect();
    let type_name = inputs
        .first()
        .ok_or("the batch is empty")?
        .measurement
        .type_name
        .clone();
    let template = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": &*type_name, "periodInterval": 1440, "codes": []
    }}]});
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
    let mut wanted = Vec::new();
    values(survivors.ok_or("the case doesn't say what survives")?, &mut wanted);
    // A whole message names its device and time too.
    wanted.retain(|text| all.contains(text));
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
