//! What an answer must be: status, headers, contents, and (strictly) Microsoft's codes and texts.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use regex::Regex;
use serde_json::{Map, Value};

use crate::checks;
use crate::client::{Answer, Client};
use crate::path::{self, text_of};
use crate::scope::Scope;

/// Something that isn't as expected.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Only Microsoft's exact code or text is missed.
    pub strict: bool,
    /// What was asked, what came, what was wanted.
    pub message: String,
}

const MAX_PAGES: usize = 60;
const NEEDS_ENTRIES: &[&str] = &[
    "ids",
    "orderedIds",
    "matchIds",
    "includeIds",
    "idsInclude",
    "idsExclude",
    "orderedField",
    "allPages",
];

/// Judges one answer. `Err` ends the case: what follows would only repeat the problem.
pub async fn judge(
    client: &Client,
    scope: &mut Scope,
    expectation: &Value,
    answer: &Answer,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let expected = scope.substitute(expectation)?.unwrap_or(Value::Null);
    let empty = Map::new();
    let expected = expected.as_object().unwrap_or(&empty);
    if !status_holds(expected.get("status"), answer.status) {
        let wanted = expected
            .get("status")
            .map_or_else(|| "2xx".to_owned(), Value::to_string);
        bail!(
            "status {wanted} expected, got {}; body {}",
            answer.status,
            shown(&answer.text, 250)
        );
    }
    let mut report = Report { problems };
    if let Some(exact) = expected
        .get("exactStatus")
        .filter(|s| s.as_u64() != Some(answer.status.into()))
    {
        report.add(true, format!("exact status {exact} wanted, got {}", answer.status));
    }
    judge_headers(expected.get("headers"), answer, &mut report)?;
    if expected.get("noBody") == Some(&Value::Bool(true)) && !answer.text.trim().is_empty() {
        report.add(false, format!("no body expected, got {}", shown(&answer.text, 100)));
    }
    let mut body = answer.body.clone();
    if NEEDS_ENTRIES.iter().any(|name| expected.contains_key(*name)) {
        body = Some(whole_bundle(client, answer).await?);
    }
    judge_entries(expected, body.as_ref(), &mut report);
    judge_links(expected.get("link"), answer, &mut report);
    judge_outcomes(expected, body.as_ref(), &mut report)?;
    judge_text(expected.get("text"), answer, &mut report);
    for check in expected.get("checks").and_then(Value::as_array).into_iter().flatten() {
        let Some(check) = check.as_object() else {
            bail!("a check must be an object")
        };
        if let Some(message) = checks::failure(check, &answer.text, body.as_ref())? {
            report.add(is_strict(check), message);
        }
    }
    Ok(())
}

struct Report<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, strict: bool, message: String) {
        self.problems.push(Problem { strict, message });
    }
}

fn shown(text: &str, length: usize) -> String {
    text.chars()
        .take(length)
        .map(|c| if c == '\n' { ' ' } else { c })
        .collect()
}

fn is_strict(map: &Map<String, Value>) -> bool {
    map.get("strict") == Some(&Value::Bool(true))
}

fn status_holds(wanted: Option<&Value>, got: u16) -> bool {
    match wanted {
        None => (200..300).contains(&got),
        Some(Value::String(class)) => match class.as_str() {
            "2xx" => (200..300).contains(&got),
            "4xx" => (400..500).contains(&got),
            "error" => got >= 400,
            other => other == got.to_string(),
        },
        Some(Value::Array(list)) => list.iter().any(|s| s.as_u64() == Some(got.into())),
        Some(other) => other.as_u64() == Some(got.into()),
    }
}

fn judge_headers(wanted: Option<&Value>, answer: &Answer, report: &mut Report<'_>) -> Result<()> {
    for (name, rule) in wanted.and_then(Value::as_object).into_iter().flatten() {
        let plain = Map::from_iter([("equals".to_owned(), rule.clone())]);
        let rule = rule.as_object().unwrap_or(&plain);
        let strict = is_strict(rule);
        let Some(got) = answer.header(name) else {
            if rule.get("absent") != Some(&Value::Bool(true)) {
                report.add(strict, format!("header `{name}` is missing"));
            }
            continue;
        };
        for (operation, wanted) in rule {
            let wanted = text_of(wanted);
            let holds = match operation.as_str() {
                "absent" => false,
                "equals" => wanted == got,
                "notEquals" => wanted != got,
                "matches" => Regex::new(&wanted)?.is_match(&got),
                "contains" => got.to_lowercase().contains(&wanted.to_lowercase()),
                _ => true,
            };
            if !holds {
                report.add(strict, format!("header `{name}` is `{got}`: {operation} `{wanted}`"));
            }
        }
    }
    Ok(())
}

/// The Bundle with the entries of all its pages, and their number as `pages`.
async fn whole_bundle(client: &Client, answer: &Answer) -> Result<Value> {
    let Some(Value::Object(bundle)) = &answer.body else {
        bail!("no Bundle: {}", shown(&answer.text, 200))
    };
    if bundle.get("resourceType").is_none_or(|t| t != "Bundle") {
        bail!("no Bundle: {}", shown(&answer.text, 200));
    }
    let entries = |answer: &Answer| {
        answer
            .body
            .as_ref()
            .and_then(|b| b["entry"].as_array().cloned())
            .unwrap_or_default()
    };
    let mut all = entries(answer);
    let mut seen = BTreeSet::new();
    let mut next = answer.link("next").map(str::to_owned);
    let mut pages = 1;
    while let Some(url) = next.filter(|url| pages < MAX_PAGES && seen.insert(url.clone())) {
        let accept = [("Accept".to_owned(), "application/fhir+json".to_owned())];
        let page = client.send("GET", &url, &accept, None, None).await?;
        if page.status != 200 {
            bail!("next link answered {}: {}", page.status, shown(&page.text, 200));
        }
        all.extend(entries(&page));
        next = page.link("next").map(str::to_owned);
        pages += 1;
    }
    let mut whole = bundle.clone();
    whole.insert("entry".to_owned(), Value::Array(all));
    whole.insert("pages".to_owned(), pages.into());
    Ok(Value::Object(whole))
}

fn ids(body: Option<&Value>, mode: Option<&str>) -> Vec<String> {
    let entries = body.and_then(|body| body["entry"].as_array()).into_iter().flatten();
    entries
        .filter(|entry| mode.is_none_or(|mode| entry["search"]["mode"] == mode))
        .filter_map(|entry| entry.get("resource"))
        .filter(|resource| resource["resourceType"] != "OperationOutcome")
        .map(|resource| text_of(&resource["id"]))
        .collect()
}

fn judge_entries(expected: &Map<String, Value>, body: Option<&Value>, report: &mut Report<'_>) {
    let list = |name: &str| {
        expected
            .get(name)
            .and_then(Value::as_array)
            .map(|list| list.iter().map(text_of).collect::<Vec<_>>())
    };
    for (name, mode) in [
        ("ids", None),
        ("matchIds", Some("match")),
        ("includeIds", Some("include")),
    ] {
        if let Some(mut wanted) = list(name) {
            let mut got = ids(body, mode);
            wanted.sort();
            got.sort();
            if wanted != got {
                report.add(
                    false,
                    format!("{name}: got {} {got:?}, wanted {} {wanted:?}", got.len(), wanted.len()),
                );
            }
        }
    }
    let got = ids(body, None);
    if let Some(wanted) = list("orderedIds").filter(|wanted| *wanted != got) {
        report.add(false, format!("orderedIds: got {got:?}, wanted {wanted:?}"));
    }
    if let Some(missing) = list("idsInclude").filter(|wanted| !wanted.iter().all(|id| got.contains(id))) {
        report.add(false, format!("ids missing: some of {missing:?} in {got:?}"));
    }
    if let Some(wanted) = list("idsExclude").filter(|wanted| wanted.iter().any(|id| got.contains(id))) {
        report.add(false, format!("ids present: some of {wanted:?}"));
    }
    if let Some(wanted) = expected.get("total") {
        let total = body.and_then(|body| body.get("total"));
        match (wanted, total) {
            (Value::String(absent), None) if absent == "absent" => {}
            (wanted, Some(total)) if checks::equal(wanted, total) => {}
            _ => report.add(false, format!("total is {total:?}, wanted {wanted}")),
        }
    }
}

fn judge_links(wanted: Option<&Value>, answer: &Answer, report: &mut Report<'_>) {
    for (relation, wanted) in wanted.and_then(Value::as_object).into_iter().flatten() {
        let link = answer.link(relation);
        let plain = unescaped(link.unwrap_or_default());
        let holds = match wanted {
            Value::Bool(present) => link.is_some() == *present,
            Value::String(part) => plain.contains(part),
            Value::Object(rule) => rule
                .get("notContains")
                .and_then(Value::as_str)
                .is_none_or(|part| !plain.contains(part)),
            _ => true,
        };
        if !holds {
            report.add(false, format!("link `{relation}` is {link:?}, wanted {wanted}"));
        }
    }
}

fn unescaped(url: &str) -> String {
    let bytes = url.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = url
            .get(i + 1..i + 3)
            .filter(|_| bytes[i] == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(hex.unwrap_or(bytes[i]));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn judge_outcomes(expected: &Map<String, Value>, body: Option<&Value>, report: &mut Report<'_>) -> Result<()> {
    for key in ["outcome", "bundleOutcome"] {
        let Some(wanted) = expected.get(key) else { continue };
        let body = body.unwrap_or(&Value::Null);
        let issues = if key == "outcome" {
            if body["resourceType"] != "OperationOutcome" {
                report.add(false, format!("no OperationOutcome: {}", shown(&body.to_string(), 150)));
                continue;
            }
            body["issue"].as_array().cloned().unwrap_or_default()
        } else {
            let lists = path::all(body, "entry[resource.resourceType=OperationOutcome].resource.issue")?;
            lists.iter().filter_map(Value::as_array).flatten().cloned().collect()
        };
        if issues.is_empty() {
            report.add(false, format!("{key}: no issue"));
        }
        let wanted = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
        for wanted in wanted.iter().filter_map(Value::as_object) {
            let same = |issue: &Value, name: &str| wanted.get(name).is_none_or(|w| issue.get(name) == Some(w));
            let got = || shown(&Value::Array(issues.clone()).to_string(), 300);
            if !issues.iter().any(|issue| same(issue, "severity")) {
                report.add(
                    is_strict(wanted),
                    format!("{key}: no issue of severity {:?} in {}", wanted.get("severity"), got()),
                );
            } else if !issues.iter().any(|issue| {
                let contains = wanted.get("contains").map(text_of).unwrap_or_default().to_lowercase();
                ["severity", "code", "diagnostics"].iter().all(|name| same(issue, name))
                    && issue.to_string().to_lowercase().contains(&contains)
            }) {
                report.add(true, format!("{key}: wanted {wanted:?} in {}", got()));
            }
        }
        if let Some(count) = expected
            .get("issueCount")
            .and_then(Value::as_u64)
            .filter(|n| *n != issues.len() as u64)
        {
            report.add(true, format!("{} issues, wanted {count}", issues.len()));
        }
    }
    Ok(())
}

fn judge_text(wanted: Option<&Value>, answer: &Answer, report: &mut Report<'_>) {
    let Some(wanted) = wanted.and_then(Value::as_object) else {
        return;
    };
    let list = |name: &str| {
        wanted
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(text_of)
    };
    for part in list("contains").filter(|part| !answer.text.contains(part)) {
        report.add(
            is_strict(wanted),
            format!("text lacks `{part}`: {}", shown(&answer.text, 200)),
        );
    }
    for part in list("notContains").filter(|part| answer.text.contains(part)) {
        report.add(is_strict(wanted), format!("text has `{part}`"));
    }
}
