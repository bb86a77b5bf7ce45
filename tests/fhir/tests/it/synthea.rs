//! Synthetic patients: batches and transactions load whole, and what they refer to by criteria is what was meant.

use std::collections::BTreeMap;

use fhir_cases::shared;
use fhir_server_settings::FhirVersion;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::server::Server;

/// Bundles of the short form: hospitals, practitioners, and patients of thousands and of hundreds of resources.
const SHORT: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn bundles_load_with_exact_totals_and_resolved_references() {
    let Some(mut files) = shared::synthea().expect("readable bundles") else {
        return;
    };
    if !test_length::is_long() {
        files.truncate(SHORT);
    }
    let server = Server::start(FhirVersion::R4).await;
    let mut totals: BTreeMap<String, usize> = BTreeMap::new();
    let mut once: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let sent: Value = serde_json::from_str(&file.text).expect("a bundle is JSON");
        let (status, answer) = server.send(Method::POST, "", Some(&file.text)).await;
        assert_eq!(status, StatusCode::OK, "{}: {answer}", file.name);
        let (sent, answered) = (entries(&sent), entries(&answer));
        assert_eq!(sent.len(), answered.len(), "{}", file.name);
        for (entry, outcome) in sent.iter().zip(answered) {
            let resource_type = entry["resource"]["resourceType"].as_str().expect("a type");
            let status = outcome["response"]["status"].as_str().unwrap_or_default();
            if let Some(criteria) = entry["request"]["ifNoneExist"].as_str() {
                let before = once.entry(format!("{resource_type}?{criteria}")).or_default();
                let expected = if *before == 0 { "201" } else { "200" };
                assert!(status.starts_with(expected), "{}: {outcome}", file.name);
                *before += 1;
                if *before > 1 {
                    continue;
                }
            }
            assert!(status.starts_with("201"), "{}: {outcome}", file.name);
            *totals.entry(resource_type.to_owned()).or_default() += 1;
        }
    }
    println!("{totals:?}");
    for (resource_type, expected) in &totals {
        let count = server.get(&format!("{resource_type}?_summary=count")).await;
        assert_eq!(count["total"], *expected, "{resource_type}");
    }
    let mut seen = BTreeMap::new();
    for resource_type in totals.keys() {
        let mut next = Some(format!("{resource_type}?_count=1000"));
        while let Some(path) = next {
            let page = server.get(&path).await;
            for entry in entries(&page) {
                *seen.entry(resource_type.clone()).or_default() += 1;
                let mut references = Vec::new();
                gather(&entry["resource"], &mut references);
                let open = references
                    .iter()
                    .find(|text| text.contains('?') || text.starts_with("urn:"));
                assert_eq!(open, None, "{}", entry["fullUrl"]);
            }
            let links = page["link"].as_array().into_iter().flatten();
            let link = links
                .filter(|link| link["relation"] == "next")
                .find_map(|l| l["url"].as_str());
            next = link.map(|url| url.trim_start_matches(&format!("{}/", server.base)).to_owned());
        }
    }
    assert_eq!(seen, totals, "pages hold what counts say");
    // what an Encounter refers to by an identifier is what has that identifier
    let page = server
        .get("Encounter?_count=50&_include=Encounter:service-provider&_include=Encounter:participant")
        .await;
    let included = entries(&page)
        .iter()
        .filter(|entry| entry["search"]["mode"] == "include");
    assert!(included.count() > 1, "an Encounter names its provider");
}

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map_or(&[], Vec::as_slice)
}

/// Every `reference` inside.
fn gather<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("reference").and_then(Value::as_str));
            members.values().for_each(|value| gather(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, references)),
        _ => {}
    }
}
