//! Kind `sampledData`: series built, merged and read back.

use iot_mapping::{Compatibility::Upstream, FhirMapping, ObservationError, build_sampled_data, parse_sampled_data};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    facts::{equal, first, list, time},
    observation::group_of,
    runner::{Check, Verdict},
};

type Span = (Timestamp, Timestamp);
type Points = Vec<(Timestamp, String)>;

const UNKNOWN: Verdict = Verdict::LeftOut("its layout isn't known to this runner");

/// One row.
pub fn check(row: &Value) -> Verdict {
    let input = first(row, &["input"]).unwrap_or(row);
    match row["op"].as_str() {
        Some("build") => match span_of(input) {
            Some(span) => build(row, input, span).into(),
            None => UNKNOWN,
        },
        Some("roundtrip") => match span_of(input) {
            Some(span) => round_trip(row, input, span).into(),
            None => UNKNOWN,
        },
        Some("merge") => merge(row, input),
        Some("mergeBoundary") => merge_boundary(row, input),
        Some("mergeError") => merge_error(row, input).into(),
        _ => UNKNOWN,
    }
}

fn build(row: &Value, input: &Value, (start, end): Span) -> Check {
    let values = points(&input["values"]);
    let data = build_sampled_data(&values, start, end, &period(input)).map_err(|error| error.to_string())?;
    match &row["result"] {
        Value::String(result) => equal("data", data.as_str(), result.as_str()),
        tokens => equal(
            "data",
            data.split(' ').collect(),
            list(tokens).filter_map(Value::as_str).collect::<Vec<_>>(),
        ),
    }
}

/// What is read back stands at the beginnings of its slots.
fn round_trip(row: &Value, input: &Value, (start, end): Span) -> Check {
    let values = points(&input["values"]);
    let data = build_sampled_data(&values, start, end, &period(input)).map_err(|error| error.to_string())?;
    let found = parse_sampled_data(&data, start, &period(input)).map_err(|error| error.to_string())?;
    let wanted = if row["result"].is_array() {
        points(&row["result"])
    } else {
        values
    };
    equal("points", found, wanted)
}

/// Of two series, `data1` or the new one wins where both have a point.
fn merge(row: &Value, input: &Value) -> Verdict {
    let new = first(input, &["data1", "new", "newValues", "values"]);
    let existing = first(input, &["data2", "existing", "existingValues"]);
    let (Some(new), Some(existing), Value::Array(result)) = (new, existing, &row["result"]) else {
        return UNKNOWN;
    };
    let (new, existing) = (points(new), points(existing));
    let times = || new.iter().chain(&existing).map(|(time, _)| *time);
    let (Some(start), Some(end)) = (times().min(), times().max()) else {
        return equal("points", 0, result.len()).into();
    };
    let distance = times().map(|time| (time - start).total(jiff::Unit::Millisecond).unwrap_or_default());
    let period = distance
        .filter(|distance| *distance > 0.0)
        .fold(f64::INFINITY, f64::min)
        .min(3_600_000.0)
        .to_string();
    let played = || {
        let data = build_sampled_data(&existing, start, end, &period).map_err(|error| error.to_string())?;
        let there = json!({"valueSampledData": {"data": data, "dimensions": 1}});
        let merged = merged(there, (start, end), (start, end), &new, &period).map_err(|error| error.to_string())?;
        let data = merged["valueSampledData"]["data"].as_str().unwrap_or_default();
        let found = parse_sampled_data(data, start, &period).map_err(|error| error.to_string())?;
        equal("points", found, points(&row["result"]))
    };
    played().into()
}

/// The merged series spans both periods.
fn merge_boundary(row: &Value, input: &Value) -> Verdict {
    let spans = (
        span(&input["dataPeriod"]),
        span(&input["observationPeriod"]),
        span(&row["result"]),
    );
    let (Some(group), Some(observation), Some(wanted)) = spans else {
        return UNKNOWN;
    };
    // An hour: the question is where the series begins and ends.
    let period = "3600000";
    let there = json!({"valueSampledData": {"data": "E", "dimensions": 1}});
    let played = || {
        let merged = merged(there, observation, group, &[(group.0, "1".to_owned())], period)
            .map_err(|error| error.to_string())?;
        let slots = merged["valueSampledData"]["data"]
            .as_str()
            .unwrap_or_default()
            .split(' ')
            .count();
        let empty = build_sampled_data(&[], wanted.0, wanted.1, period).map_err(|error| error.to_string())?;
        equal("slots", slots, empty.split(' ').count())?;
        equal("period", span(&merged["effectivePeriod"]), Some(wanted))
    };
    played().into()
}

/// A series of more dimensions, or another type, isn't merged with.
fn merge_error(row: &Value, input: &Value) -> Check {
    let existing = first(input, &["existing"]).unwrap_or(input);
    let there = match existing["dimensions"].as_u64() {
        Some(dimensions) => json!({"valueSampledData": {"data": "1", "dimensions": dimensions}}),
        None => json!({"valueDateTime": "2019-01-01"}),
    };
    let at = time(&json!("2019-01-01T00:00:00Z"));
    match merged(there, (at, at), (at, at), &[(at, "1".to_owned())], "1000") {
        Err(error) => equal("error class", Some(error.name()), row["errorClass"].as_str()),
        Ok(observation) => Err(format!("no error: {observation}")),
    }
}

/// Merges points into an Observation that has a value.
fn merged(
    mut there: Value,
    observation: Span,
    group: Span,
    points: &[(Timestamp, String)],
    period: &str,
) -> Result<Value, ObservationError> {
    let collection = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "codes": [], "periodInterval": 60,
        "value": {"valueType": "SampledData", "valueName": "v", "defaultPeriod": period.parse::<f64>().unwrap()}
    }}]});
    let mapping = FhirMapping::parse(&collection.to_string(), Upstream).unwrap();
    there["effectivePeriod"] = json!({"start": observation.0.to_string(), "end": observation.1.to_string()});
    let points: Vec<Value> = points
        .iter()
        .map(|(time, value)| json!([time.to_string(), value]))
        .collect();
    let group = json!({"start": group.0.to_string(), "end": group.1.to_string(), "values": {"v": points}});
    mapping
        .merge(&there, &group_of(&group, "t"))
        .map(|merged| merged.observation)
}

fn period(input: &Value) -> String {
    let period = first(input, &["period", "samplePeriod", "defaultPeriod", "periodMs"]);
    period.map_or_else(|| "1000".to_owned(), ToString::to_string)
}

fn span_of(input: &Value) -> Option<Span> {
    span(input).or_else(|| span(&input["boundary"]))
}

/// `{start, end}` or `[START, END]`.
fn span(value: &Value) -> Option<Span> {
    let start = first(value, &["start", "startBoundary"]).or_else(|| value.get(0))?;
    let end = first(value, &["end", "endBoundary"]).or_else(|| value.get(1))?;
    (start.is_string() && end.is_string()).then(|| (time(start), time(end)))
}

fn points(value: &Value) -> Points {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(value).map(|point| (time(&point[0]), text(&point[1]))).collect()
}
