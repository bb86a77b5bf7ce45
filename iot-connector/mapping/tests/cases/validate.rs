//! Kind `validate`: the findings of a dry run.

use std::collections::BTreeMap;

use iot_mapping::{Compatibility::Upstream, DryRun, Finding, Message, dry_run};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    facts::{equal, list, text_of},
    runner::Check,
};

pub fn check(case: &Value) -> Check {
    let text = |name: &str| case.get(name).filter(|value| !value.is_null()).map(text_of);
    let roots: Vec<Vec<u8>> = list(&case["roots"]).map(|root| root.to_string().into_bytes()).collect();
    let (device, fhir) = (text("deviceTemplate"), text("fhirTemplate"));
    let report = dry_run(
        device.as_deref(),
        fhir.as_deref(),
        &roots.iter().map(|root| Message::Whole(root)).collect::<Vec<_>>(),
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
