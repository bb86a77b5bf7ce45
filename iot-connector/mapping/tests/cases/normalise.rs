//! Kind `normalise`: the measurements, or the error, that a device mapping makes of a message.

use iot_mapping::{Compatibility::Upstream, DeviceMapping, Measurement, Message, Problem, TemplateError};
use serde_json::Value;

use crate::{
    facts::{equal, text_of, time},
    runner::Check,
};

pub fn check(case: &Value) -> Check {
    let loaded = DeviceMapping::load(&text_of(&case["deviceTemplate"]), Upstream);
    let expected = &case["expect"];
    if let Some(error) = expected.get("error") {
        // Refusing a template without a needed expression when it is loaded is as good (README).
        let lacks = |error: &TemplateError| matches!(error.problem, Problem::EmptyExpression(_) | Problem::Missing(_));
        if !loaded.errors.is_empty() && loaded.errors.iter().all(lacks) {
            return Ok(());
        }
        let found = loaded
            .mapping
            .ok_or("no mapping")?
            .normalise(Message::Whole(case["root"].to_string().as_bytes()));
        if let Some(wanted) = expected["measurements"].as_array() {
            measurements(&found.measurements, wanted, expected, case)?;
        }
        let fault = found
            .faults
            .first()
            .ok_or_else(|| format!("no error, but {:?}", found.measurements))?;
        equal(
            "error class",
            fault.reason,
            error["class"].as_str().unwrap_or(fault.reason),
        )?;
        let text = |name: &str| error[name].as_str();
        let says = |holds: bool| {
            if holds {
                Ok(())
            } else {
                Err(format!("message `{}`, expected {error}", fault.detail))
            }
        };
        says(text("messageStartsWith").is_none_or(|start| fault.detail.starts_with(start)))?;
        says(text("messageContains").is_none_or(|part| fault.detail.contains(part)))?;
        return says(text("messageEquals").is_none_or(|whole| fault.detail == whole));
    }
    if case["templateValid"] == false || expected["templateValid"] == false {
        equal("errors of the template", loaded.errors.is_empty(), false)?;
    } else if !loaded.errors.is_empty() {
        return Err(format!("the template is refused: {:?}", loaded.errors));
    }
    let mapping = loaded.mapping.ok_or("no mapping")?;
    if let Some(usable) = expected["usableTemplates"]
        .as_u64()
        .or_else(|| case["usableTemplates"].as_u64())
    {
        equal("usable templates", mapping.templates().len() as u64, usable)?;
    }
    let found = mapping.normalise(Message::Whole(case["root"].to_string().as_bytes()));
    if !found.faults.is_empty() {
        return Err(format!("{:?}", found.faults));
    }
    let wanted = expected["measurements"]
        .as_array()
        .ok_or("no measurements are expected, and no error")?;
    measurements(&found.measurements, wanted, expected, case)
}

fn measurements(found: &[Measurement], wanted: &[Value], expected: &Value, case: &Value) -> Check {
    equal("measurements", found.len(), wanted.len())?;
    let mut pairs = found.iter().zip(wanted);
    pairs.try_for_each(|(found, wanted)| measurement(found, wanted, expected, case))
}

fn measurement(found: &Measurement, wanted: &Value, expected: &Value, case: &Value) -> Check {
    equal("type", &*found.type_name, wanted["type"].as_str().unwrap_or_default())?;
    let seconds = expected["timestampPrecision"] == "seconds" || case["timestampPrecision"] == "seconds";
    if seconds {
        equal(
            "time",
            found.occurrence.as_second(),
            time(&wanted["occurrenceTimeUtc"]).as_second(),
        )?;
    } else {
        equal("time", found.occurrence, time(&wanted["occurrenceTimeUtc"]))?;
    }
    equal(
        "device",
        &*found.device,
        wanted["deviceId"].as_str().unwrap_or_default(),
    )?;
    equal("patient", found.patient.as_deref(), wanted["patientId"].as_str())?;
    equal("encounter", found.encounter.as_deref(), wanted["encounterId"].as_str())?;
    equal(
        "correlation",
        found.correlation.as_deref(),
        wanted["correlationId"].as_str(),
    )?;
    let properties = wanted["properties"].as_array().map_or(&[][..], Vec::as_slice);
    equal("number of values", found.values.len(), properties.len())?;
    let tolerance = expected["valueTolerance"]
        .as_f64()
        .or_else(|| case["valueTolerance"].as_f64());
    for ((name, value), wanted) in found.values.iter().zip(properties) {
        equal("value's name", &**name, wanted["name"].as_str().unwrap_or_default())?;
        let text = wanted["value"].as_str().unwrap_or_default();
        let near = tolerance.is_some_and(|tolerance| match (value.parse::<f64>(), text.parse::<f64>()) {
            (Ok(found), Ok(wanted)) => (found - wanted).abs() <= tolerance,
            _ => false,
        });
        if !near {
            equal("value", value.as_str(), text)?;
        }
    }
    Ok(())
}
