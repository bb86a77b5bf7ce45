//! Plays the conformance cases of `tests/cases/mapping`, or of a folder named in `IOT_CASES`, in upstream's semantics, and
//! prints the number passed by kind. Kinds that need a server are played by iot-connector.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use iot_mapping::{
    Compatibility::Upstream,
    DeviceMapping, DryRun, FhirMapping, Finding, Group, Grouped, Input, Measurement, Order, Reading,
    build_sampled_data, dry_run,
    json::Document,
    jsonpath::{Path as JsonPath, Scope},
    parse_sampled_data, parse_time,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What a case says: it holds, it doesn't and why, or this release has no part in it.
enum Verdict {
    Passed,
    Failed(String),
    Skipped(&'static str),
}

type Check = Result<(), String>;

#[test]
fn cases() {
    let folder = std::env::var_os("IOT_CASES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/mapping"),
        PathBuf::from,
    );
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(!files.is_empty(), "no case in `{}`", folder.display());
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut failures = Vec::new();
    for file in files {
        let Ok(case) = serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()) else {
            continue;
        };
        let (Some(id), Some(kind)) = (case["id"].as_str(), case["kind"].as_str()) else {
            continue;
        };
        for (name, verdict) in play(id, kind, &case) {
            let row = table.entry(kind.to_owned()).or_default();
            match verdict {
                Verdict::Passed => row[0] += 1,
                Verdict::Failed(reason) => {
                    row[1] += 1;
                    failures.push(format!("{name}: {reason}"));
                }
                Verdict::Skipped(reason) => {
                    row[2] += 1;
                    println!("left out: {name}: {reason}");
                }
            }
        }
    }
    println!("{:<14}{:>8}{:>8}{:>10}", "kind", "passed", "failed", "left out");
    for (kind, [passed, failed, skipped]) in &table {
        println!("{kind:<14}{passed:>8}{failed:>8}{skipped:>10}");
    }
    assert!(
        failures.is_empty(),
        "{} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            files.push(entry);
        }
    }
}

fn play(id: &str, kind: &str, case: &Value) -> Vec<(String, Verdict)> {
    if let Some(rows) = case["rows"].as_array() {
        let played = rows.iter().enumerate().map(|(index, row)| {
            let name = format!("{id}#{}", row["row"].as_u64().unwrap_or(index as u64 + 1));
            (name, play_row(kind, row))
        });
        return played.collect();
    }
    if uses_jmespath(case) {
        return vec![(id.to_owned(), Verdict::Skipped("JMESPath"))];
    }
    let check = match kind {
        "normalise" => normalise(case),
        "template" => template(case),
        "validate" => validate(case),
        "grouping" => grouping(case),
        "fhir" => fhir(case),
        "batch" => batch(case),
        _ => return vec![(id.to_owned(), Verdict::Skipped("played elsewhere"))],
    };
    vec![(id.to_owned(), verdict(check))]
}

fn play_row(kind: &str, row: &Value) -> Verdict {
    match kind {
        "sampledData" => verdict(sampled_data(row)),
        "fhirValues" => verdict(fhir_value(row)),
        "expressions"
            if row["language"]
                .as_str()
                .is_some_and(|language| language.eq_ignore_ascii_case("JsonPath")) =>
        {
            verdict(expression(row))
        }
        "expressions" | "functions" => Verdict::Skipped("JMESPath"),
        _ => Verdict::Skipped("played elsewhere"),
    }
}

fn verdict(check: Check) -> Verdict {
    match check {
        Ok(()) => Verdict::Passed,
        Err(reason) => Verdict::Failed(reason),
    }
}

/// Whether a template says that an expression is JMESPath (as a language, not in a text).
fn uses_jmespath(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let names = name.eq_ignore_ascii_case("language") || name.eq_ignore_ascii_case("defaultExpressionLanguage");
            (names && value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("JmesPath"))) || uses_jmespath(value)
        }),
        Value::Array(items) => items.iter().any(uses_jmespath),
        Value::String(text) => text.contains("\"JmesPath\""),
        _ => false,
    }
}

/// Templates are pretty-printed, so that lines mean something.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap(),
    }
}

fn time(value: &Value) -> Timestamp {
    parse_time(value.as_str().unwrap_or_default()).unwrap_or_else(|| panic!("{value} isn't a time"))
}

#[expect(clippy::needless_pass_by_value, reason = "callers compare what they just made")]
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Check {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

fn normalise(case: &Value) -> Check {
    let loaded = DeviceMapping::load(&text_of(&case["deviceTemplate"]), Upstream);
    let expected = &case["expect"];
    if let Some(error) = expected.get("error") {
        // Refusing the template when it is loaded is as good (README).
        if !loaded.errors.is_empty() {
            return Ok(());
        }
        let found = loaded
            .mapping
            .ok_or("no mapping")?
            .normalise(case["root"].to_string().as_bytes());
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
    let found = mapping.normalise(case["root"].to_string().as_bytes());
    if !found.faults.is_empty() {
        return Err(format!("{:?}", found.faults));
    }
    let wanted = expected["measurements"]
        .as_array()
        .ok_or("no measurements are expected, and no error")?;
    equal("measurements", found.measurements.len(), wanted.len())?;
    for (found, wanted) in found.measurements.iter().zip(wanted) {
        measurement(found, wanted, expected, case)?;
    }
    Ok(())
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
        found.device.as_str(),
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

fn template(case: &Value) -> Check {
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
            _ => contains(&template[name.as_str()], wanted).map_err(|reason| format!("{name}: {reason}"))?,
        }
    }
    Ok(())
}

/// Whether `wanted` is a part of `found`: members present, list elements somewhere, texts of types without regard to case.
fn contains(found: &Value, wanted: &Value) -> Check {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().try_for_each(|(name, wanted)| {
            contains(found.get(name).unwrap_or(&Value::Null), wanted).map_err(|r| format!("{name}: {r}"))
        }),
        (Value::Array(found), Value::Array(wanted)) => wanted.iter().try_for_each(|wanted| {
            if found.iter().any(|found| contains(found, wanted).is_ok()) {
                Ok(())
            } else {
                Err(format!("{wanted} isn't in {found:?}"))
            }
        }),
        (Value::Number(found), Value::Number(wanted)) => equal("number", found.as_f64(), wanted.as_f64()),
        (Value::String(one), Value::String(two)) => {
            let same_time = matches!((parse_time(one), parse_time(two)), (Some(one), Some(two)) if one == two);
            if one.eq_ignore_ascii_case(two) || same_time {
                Ok(())
            } else {
                equal("text", one, two)
            }
        }
        (found, wanted) => equal("value", found, wanted),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn validate(case: &Value) -> Check {
    let text = |name: &str| case.get(name).filter(|value| !value.is_null()).map(text_of);
    let roots: Vec<Vec<u8>> = list(&case["roots"]).map(|root| root.to_string().into_bytes()).collect();
    let (device, fhir) = (text("deviceTemplate"), text("fhirTemplate"));
    let report = dry_run(
        device.as_deref(),
        fhir.as_deref(),
        &roots,
        Upstream,
        Timestamp::UNIX_EPOCH,
    );
    let expected = &case["expect"];
    if expected["templateErrors"].is_array() {
        findings("template errors", &report.template_errors, &expected["templateErrors"])?;
    }
    if expected["templateWarnings"].is_array() {
        findings(
            "template warnings",
            &report.template_warnings,
            &expected["templateWarnings"],
        )?;
    }
    if case["aggregate"] == true {
        aggregated(&report, expected)
    } else {
        each_message(&report, expected)
    }
}

fn findings(what: &str, found: &[Finding], wanted: &Value) -> Check {
    equal(what, found.len(), list(wanted).count()).map_err(|reason| format!("{reason}: {found:?}"))?;
    for wanted in list(wanted) {
        let part = wanted["contains"]
            .as_str()
            .or_else(|| wanted["message"].as_str())
            .or_else(|| wanted.as_str());
        let part = part.unwrap_or_default();
        let fits = |finding: &&Finding| {
            let category = serde_json::to_value(finding.category).unwrap();
            let same = category.as_str().unwrap_or_default().replace('_', "");
            let wanted_category = wanted["category"].as_str().unwrap_or(&same).replace('_', "");
            finding.message.contains(part)
                && same == wanted_category
                && wanted["line"]
                    .as_u64()
                    .is_none_or(|line| finding.line.map(|own| own as u64) == Some(line))
        };
        if !found.iter().any(|finding| fits(&finding)) {
            return Err(format!("{what}: none is {wanted}: {found:?}"));
        }
    }
    Ok(())
}

fn each_message(report: &DryRun, expected: &Value) -> Check {
    let Some(results) = expected["deviceResults"].as_array() else {
        return Ok(());
    };
    equal("device results", report.messages.len(), results.len())?;
    for (found, wanted) in report.messages.iter().zip(results) {
        if wanted["errors"].is_array() {
            findings("errors", &found.errors, &wanted["errors"])?;
        }
        if wanted["warnings"].is_array() {
            findings("warnings", &found.warnings, &wanted["warnings"])?;
        }
        for (name, found) in [
            ("measurements", &found.measurements),
            ("observations", &found.observations),
        ] {
            match &wanted[name] {
                Value::Number(count) => equal(name, Some(found.len() as u64), count.as_u64())?,
                Value::Array(wanted) => equal(name, found.len(), wanted.len())?,
                _ => {}
            }
            if let Some(count) = wanted[format!("{}Count", name.trim_end_matches('s'))].as_u64() {
                equal(name, found.len() as u64, count)?;
            }
        }
    }
    Ok(())
}

fn aggregated(report: &DryRun, expected: &Value) -> Check {
    let mut groups: BTreeMap<Vec<String>, Vec<&Finding>> = BTreeMap::new();
    let mut counts: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for message in &report.messages {
        let all: Vec<&Finding> = message.errors.iter().chain(&message.warnings).collect();
        let key: Vec<String> = all.iter().map(|finding| finding.message.clone()).collect();
        *counts.entry(key.clone()).or_default() += 1;
        groups.insert(key, all);
    }
    for wanted in list(&expected["deviceResults"]) {
        let fits = |key: &Vec<String>| {
            list(&wanted["errors"]).chain(list(&wanted["warnings"])).all(|finding| {
                let part = finding["contains"].as_str().unwrap_or_default();
                key.iter().any(|message| message.contains(part))
            })
        };
        let count = wanted["aggregatedCount"].as_u64().unwrap_or(1);
        if !counts.iter().any(|(key, found)| *found == count && fits(key)) {
            return Err(format!("no {count} messages with {wanted}: {counts:?}"));
        }
    }
    Ok(())
}

fn inputs(case: &Value) -> Vec<Input> {
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
                    device: own("deviceId").unwrap_or_default(),
                    patient: own("patientId"),
                    encounter: own("encounterId"),
                    correlation: own("correlationId"),
                    values,
                },
            }
        })
        .collect()
}

fn grouping(case: &Value) -> Check {
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

fn group_of(value: &Value, type_name: &str) -> Group {
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

fn fhir(case: &Value) -> Check {
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
    if expected["observation"].is_object() {
        contains(&observation, &expected["observation"])?;
    }
    if expected["effectivePeriod"].is_object() {
        contains(&observation["effectivePeriod"], &expected["effectivePeriod"])?;
    }
    let has_value = observation
        .as_object()
        .into_iter()
        .flatten()
        .any(|(name, _)| name.starts_with("value"));
    if expected["valueAbsent"] == true {
        equal("value", has_value, false)?;
    }
    if expected["categoryAbsent"] == true {
        equal("category", observation.get("category"), None)?;
    }
    if expected["issuedPresent"] == true {
        equal("issued", observation["issued"].is_string(), true)?;
    }
    if expected["statusUnchangedByMerge"] == true {
        equal("status", &observation["status"], &case["existing"]["status"])?;
    }
    Ok(())
}

/// One template with one value, at one hour.
fn fhir_value(row: &Value) -> Check {
    let collection = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "codes": [], "periodInterval": 60, "value": row["valueTemplate"]
    }}]});
    let mut collection = collection;
    let value = &mut collection["template"][0]["template"]["value"];
    if value["valueName"].is_null() {
        value["valueName"] = json!("v");
    }
    let name = value["valueName"].as_str().unwrap_or("v").to_owned();
    let mapping = FhirMapping::parse(&collection.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let template = mapping.templates().next().ok_or("no template")?;
    let points: Vec<Value> = list(&row["values"])
        .enumerate()
        .map(|(index, point)| {
            if point.is_array() {
                point.clone()
            } else {
                json!([format!("2019-01-01T00:00:{index:02}Z"), point])
            }
        })
        .collect();
    let instant = |name: &str, default: &str| {
        row.get(name)
            .filter(|v| v.is_string())
            .cloned()
            .unwrap_or(json!(default))
    };
    let (start, end) = (
        instant("start", "2019-01-01T00:00:00Z"),
        instant("end", "2019-01-01T00:59:59.9999999Z"),
    );
    let group = group_of(&json!({"start": start, "end": end, "values": {name: points}}), "t");
    let expect = row.get("expect").unwrap_or(row);
    let result = match row.get("existing").filter(|existing| !existing.is_null()) {
        None => template
            .create(&group, Timestamp::UNIX_EPOCH, Upstream)
            .map(|(observation, _)| observation),
        Some(existing) => {
            let mut observation =
                json!({"resourceType": "Observation", "effectivePeriod": {"start": start, "end": end}});
            let existing_kind = existing["valueType"]
                .as_str()
                .or_else(|| row["valueTemplate"]["valueType"].as_str());
            observation[format!("value{}", existing_kind.unwrap_or_default())] =
                existing.get("value").unwrap_or(existing).clone();
            template
                .merge(&observation, &group, Upstream)
                .map(|merged| merged.observation)
        }
    };
    match (result, expect["errorClass"].as_str()) {
        (Err(error), Some(class)) => equal("error class", error.name(), class),
        (Ok(observation), Some(class)) => Err(format!("no error {class}: {observation}")),
        (Err(error), None) => Err(error.to_string()),
        (Ok(observation), None) => {
            let found = observation
                .as_object()
                .into_iter()
                .flatten()
                .find(|(name, _)| name.starts_with("value"));
            let found = found.map_or(Value::Null, |(_, value)| value.clone());
            let wanted = ["element", "result", "value"].iter().find_map(|name| expect.get(*name));
            wanted.map_or(Ok(()), |wanted| contains(&found, wanted))
        }
    }
}

fn points(value: &Value) -> Vec<(Timestamp, String)> {
    list(value)
        .map(|point| {
            (
                time(&point[0]),
                point[1].as_str().map_or_else(|| point[1].to_string(), str::to_owned),
            )
        })
        .collect()
}

fn sampled_data(row: &Value) -> Check {
    let input = row.get("input").unwrap_or(row);
    let period = input["period"]
        .as_number()
        .or_else(|| input["defaultPeriod"].as_number())
        .map_or_else(|| "1000".to_owned(), ToString::to_string);
    let instant = |name: &str| input.get(name).filter(|value| value.is_string()).map(time);
    match row["op"].as_str() {
        Some("build") => {
            let (Some(start), Some(end)) = (instant("start"), instant("end")) else {
                return Err("no boundary".to_owned());
            };
            let found = build_sampled_data(&points(&input["values"]), start, end, &period)
                .map_err(|error| error.to_string())?;
            equal("data", found.as_str(), row["result"].as_str().unwrap_or_default())
        }
        Some("roundtrip") => {
            let (Some(start), Some(end)) = (instant("start"), instant("end")) else {
                return Err("no boundary".to_owned());
            };
            let values = points(&input["values"]);
            let data = build_sampled_data(&values, start, end, &period).map_err(|error| error.to_string())?;
            equal(
                "points",
                parse_sampled_data(&data, start, &period).map_err(|error| error.to_string())?,
                values,
            )
        }
        other => Err(format!("operation {other:?} isn't known to this runner")),
    }
}

fn expression(row: &Value) -> Check {
    let fails = row.get("error").is_some_and(|error| !error.is_null()) || row["errorClass"].is_string();
    let path = match JsonPath::parse(row["expression"].as_str().unwrap_or_default()) {
        Ok(path) => path,
        Err(error) => return if fails { Ok(()) } else { Err(error.to_string()) },
    };
    let text = row["data"].to_string();
    let document = Document::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let scope = Scope::at(&document, 0);
    match row["mode"].as_str() {
        Some("parse") => equal("valid", true, !fails),
        Some("one") => match scope.select_one(&path) {
            Err(()) => equal("more than one token", true, fails),
            Ok(None) => equal("absent", true, row["absent"] == true || row["result"].is_null()),
            Ok(Some(id)) => contains(&document.to_json(id), &row["result"]),
        },
        _ => {
            let found: Value = scope.select(&path).into_iter().map(|id| document.to_json(id)).collect();
            let wanted = row.get("results").cloned().unwrap_or_else(|| json!([]));
            equal("tokens", list(&found).count(), list(&wanted).count())?;
            list(&found)
                .zip(list(&wanted))
                .try_for_each(|(found, wanted)| contains(found, wanted))
        }
    }
}

fn batch(case: &Value) -> Check {
    let template = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": case["measurements"][0]["type"], "periodInterval": 1440, "codes": []
    }}]});
    if !case["measurements"].is_array() {
        return Err("the batch has no measurements".to_owned());
    }
    let mapping = FhirMapping::parse(&template.to_string(), Upstream).map_err(|errors| format!("{errors:?}"))?;
    let Grouped { groups, faults } = mapping.group(inputs(case));
    equal("faults", faults.len(), 0)?;
    let mut found: Vec<String> = groups
        .iter()
        .flat_map(|group| group.values.values().flatten().map(|reading| reading.value.clone()))
        .collect();
    found.sort();
    let survivors = ["survivors", "surviving", "measurements"]
        .iter()
        .find_map(|name| case["expect"].get(*name));
    let Some(survivors) = survivors else { return Ok(()) };
    let mut wanted: Vec<String> = list(survivors)
        .flat_map(|of| {
            list(&of["properties"])
                .filter_map(|property| property["value"].as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect();
    wanted.sort();
    if wanted.is_empty() {
        Ok(())
    } else {
        equal("survivors", found, wanted)
    }
}
