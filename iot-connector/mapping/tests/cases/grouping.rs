//! Kind `grouping`: which measurements become one Observation.

use std::sync::Arc;

use iot_mapping::{Compatibility::Upstream, FhirMapping, Input, Measurement, Order};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    facts::{equal, list, time},
    runner::Check,
};

/// The measurements of a case, in their order.
pub fn inputs(case: &Value) -> Vec<Input> {
    list(&case["measurements"])
        .enumerate()
        .map(|(index, of)| {
            let text = |name: &str| of[name].as_str().map(str::to_owned);
            let own = |name: &str| text(name).or_else(|| case[name].as_str().map(str::to_owned));
            let values = list(&of["properties"])
                .map(|property| {
                    (
                        Arc::from(property["name"].as_str().unwrap_or_default()),
                        property["value"].as_str().unwrap_or_default().to_owned(),
                    )
                })
                .collect();
            let received = of
                .get("ingestionTimeUtc")
                .filter(|value| value.is_string())
                .map_or(0, |value| time(value).as_microsecond());
            Input {
                source: index,
                order: Order {
                    received,
                    position: i64::try_from(index).unwrap(),
                },
                replay: false,
                measurement: Measurement {
                    type_name: own("type")
                        .or_else(|| text("measureType"))
                        .or_else(|| case["measureType"].as_str().map(str::to_owned))
                        .unwrap_or_default()
                        .into(),
                    occurrence: time(&of["occurrenceTimeUtc"]),
                    device: own("deviceId").unwrap_or_default().into(),
                    patient: own("patientId"),
                    encounter: own("encounterId"),
                    correlation: own("correlationId"),
                    values,
                },
            }
        })
        .collect()
}

pub fn check(case: &Value) -> Check {
    let name = case["measureType"].as_str().unwrap_or_default();
    let template = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": name, "periodInterval": case["periodInterval"], "codes": []
    }}]});
    let mapping = FhirMapping::parse(&template.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let grouped = mapping.group(inputs(case));
    let expected = &case["expect"];
    if let Some(error) = expected.get("error") {
        let fault = grouped.faults.first().ok_or("there is no error")?;
        return equal(
            "error class",
            fault.fault.reason,
            error["class"].as_str().unwrap_or_default(),
        );
    }
    if let Some(fault) = grouped.faults.first() {
        return Err(fault.fault.detail.clone());
    }
    if let Some(count) = expected["groupCount"].as_u64() {
        equal("groups", grouped.groups.len() as u64, count)?;
    }
    if let Some(groups) = expected["groups"].as_array() {
        equal("groups", grouped.groups.len(), groups.len())?;
        for (found, wanted) in grouped.groups.iter().zip(groups) {
            equal("start", found.start, time(&wanted["start"]))?;
            equal("end", found.end, time(&wanted["end"]))?;
            for (name, points) in wanted["values"].as_object().into_iter().flatten() {
                let readings = found.values.get(name).ok_or_else(|| format!("no value {name}"))?;
                let found: Vec<(Timestamp, &str)> = readings.iter().map(|r| (r.time, r.value.as_str())).collect();
                let wanted: Vec<(Timestamp, &str)> = list(points)
                    .map(|point| (time(&point[0]), point[1].as_str().unwrap_or_default()))
                    .collect();
                equal(name, found, wanted)?;
            }
        }
    }
    let segments: Vec<&str> = grouped.groups.iter().map(|group| group.segment.as_str()).collect();
    if expected["idSegments"].is_array() {
        equal(
            "segments",
            segments,
            list(&expected["idSegments"]).filter_map(Value::as_str).collect(),
        )?;
    }
    match expected["groupKind"].as_str() {
        Some(kind) if kind.eq_ignore_ascii_case("correlation") || kind.to_lowercase().starts_with("correlation") => {
            equal(
                "segment",
                grouped
                    .groups
                    .iter()
                    .all(|group| Some(group.segment.as_str()) == case["correlationId"].as_str()),
                true,
            )
        }
        _ => Ok(()),
    }
}
