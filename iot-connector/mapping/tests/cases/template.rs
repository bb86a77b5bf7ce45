//! Kind `template`: whether a mapping loads, with which errors, and what is understood of it.

use iot_mapping::{Compatibility::Upstream, DeviceMapping, FhirMapping};
use serde_json::Value;

use crate::{
    facts::{contains, equal, list, text_of},
    runner::Check,
};

pub fn check(case: &Value) -> Check {
    let text = case["templateText"]
        .as_str()
        .map_or_else(|| text_of(&case["template"]), str::to_owned);
    let expected = &case["expect"];
    let (errors, described) = if case["side"] == "device" {
        let loaded = DeviceMapping::load(&text, Upstream);
        let described: Vec<Value> = loaded
            .mapping
            .iter()
            .flat_map(|mapping| mapping.templates().iter().map(iot_mapping::DeviceTemplate::describe))
            .collect();
        (loaded.errors, described)
    } else {
        let loaded = FhirMapping::load(&text, Upstream);
        let described: Vec<Value> = loaded
            .mapping
            .iter()
            .flat_map(|mapping| mapping.templates().map(|template| template.describe()))
            .collect();
        (loaded.errors, described)
    };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    equal("valid", errors.is_empty(), expected["valid"] == true).map_err(|reason| format!("{reason}; {texts:?}"))?;
    for part in list(&expected["errorsContain"]).chain(list(&expected["unknownMembers"])) {
        let part = part.as_str().unwrap_or_default();
        if !texts
            .iter()
            .any(|text| text.to_lowercase().contains(&part.to_lowercase()))
        {
            return Err(format!("no error says `{part}`: {texts:?}"));
        }
    }
    for name in list(&expected["missing"]) {
        let name = format!("'{}'", name.as_str().unwrap_or_default()).to_lowercase();
        if !texts.iter().any(|text| text.to_lowercase().contains(&name)) {
            return Err(format!("{name} isn't missed: {texts:?}"));
        }
    }
    if let Some(count) = expected["errorCount"].as_u64() {
        equal("errors", errors.len() as u64, count).map_err(|reason| format!("{reason}; {texts:?}"))?;
    }
    if let Some(usable) = expected["usableTemplates"].as_u64() {
        equal("usable templates", described.len() as u64, usable)?;
    }
    for name in list(&expected["usableTypes"]) {
        if !described.iter().any(|template| template["typeName"] == *name) {
            return Err(format!("type {name} isn't usable"));
        }
    }
    if expected["errorLines"].is_array() {
        let mut found: Vec<u64> = errors.iter().map(|error| error.line as u64).collect();
        let mut wanted: Vec<u64> = list(&expected["errorLines"]).filter_map(Value::as_u64).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        equal("lines", found, wanted)?;
    }
    match expected.get("parsed") {
        None | Some(Value::Null) => Ok(()),
        Some(parsed) => {
            let attempts: Vec<Check> = described.iter().map(|template| parsed_as(template, parsed)).collect();
            if attempts.iter().any(Result::is_ok) {
                Ok(())
            } else {
                attempts
                    .into_iter()
                    .next()
                    .unwrap_or(Err("nothing is usable".to_owned()))
            }
        }
    }
}

fn parsed_as(template: &Value, parsed: &Value) -> Check {
    for (name, wanted) in parsed.as_object().into_iter().flatten() {
        let components = || list(&template["components"]);
        match name.as_str() {
            "componentValueNames" => {
                let names: Value = components()
                    .map(|component| component["value"]["valueName"].clone())
                    .collect();
                equal(name, &names, wanted)?;
            }
            "componentSystem" | "componentCode" | "componentUnit" | "componentValueType" => {
                let member = name.trim_start_matches("component");
                let member = format!("{}{}", member[..1].to_lowercase(), &member[1..]);
                for component in components() {
                    equal(name, &component["value"][member.as_str()], wanted)?;
                }
            }
            _ => {
                let found = &template[name.as_str()];
                // An expression may be described by its text alone.
                let found = if wanted.is_string() && found.is_object() {
                    &found["value"]
                } else {
                    found
                };
                contains(found, wanted).map_err(|reason| format!("{name}: {reason}"))?;
            }
        }
    }
    Ok(())
}
