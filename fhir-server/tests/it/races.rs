//! Many at once: conditional writes leave one resource, and whoever polls misses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fhir_server_settings::FhirVersion;
use futures::future::join_all;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::Service;

/// Conditional creates of one thing at a time.
const PARALLEL: usize = 64;

/// One way to say "create it unless it is there".
async fn create_once(service: &Service, spelling: usize, value: &str) -> (u16, String) {
    let system = "http://race.example/mrn";
    let patient = json!({
        "resourceType": "Patient",
        "active": true,
        "identifier": [{"system": system, "value": value}],
        "name": [{"family": "Race"}],
    });
    let criteria = match spelling % 4 {
        0 => format!("identifier={system}|{value}"),
        1 => format!("identifier={value}"),
        2 => format!("active=true&identifier={system}%7C{value}"),
        _ => format!("identifier={system}|{value}&active=true&family=race"),
    };
    if spelling.is_multiple_of(8) {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": patient, "request": {"method": "POST", "url": "Patient", "ifNoneExist": criteria}},
        ]});
        let answer = service.post("", &bundle.to_string()).await;
        let status = answer.text("/entry/0/response/status");
        let status = status.get(..3).and_then(|code| code.parse().ok());
        let location = answer.text("/entry/0/response/location").to_owned();
        return (status.unwrap_or_else(|| answer.status.as_u16()), location);
    }
    let headers = [("if-none-exist", criteria.as_str())];
    let answer = service
        .send(Method::POST, "Patient", &headers, Some(&patient.to_string()))
        .await;
    (answer.status.as_u16(), answer.header("location").to_owned())
}

#[rstest]
#[case(FhirVersion::R4)]
#[case(FhirVersion::Stu3)]
#[tokio::test(flavor = "multi_thread")]
async fn parallel_conditional_creates_in_any_spelling_leave_one(#[case] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    for round in 0..4 {
        let value = format!("MRN-{round}");
        let answers = join_all((0..PARALLEL).map(|n| create_once(&service, n, &value))).await;
        let created = answers.iter().filter(|(status, _)| *status == 201).count();
        let found = answers.iter().filter(|(status, _)| *status == 200).count();
        assert_eq!((created, found), (1, PARALLEL - 1), "{answers:?}");
        let places: BTreeSet<_> = answers
            .iter()
            .filter_map(|(_, at)| at.split("Patient/").nth(1))
            .collect();
        assert_eq!(places.len(), 1, "all are told the same: {places:?}");
        let total = service.get(&format!("Patient?identifier={value}&_summary=count")).await;
        assert_eq!(total.body["total"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_conditional_updates_leave_one() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let body = |n: usize| {
        let patient = json!({
            "resourceType": "Patient",
            "identifier": [{"system": "http://race.example/mrn", "value": "U1"}],
            "name": [{"family": format!("F{n}")}],
        });
        patient.to_string()
    };
    let puts = (0..16).map(|n| {
        let (service, body) = (&service, body(n));
        async move {
            let answer = service
                .put("Patient?identifier=http://race.example/mrn|U1", &body)
                .await;
            answer.status.as_u16()
        }
    });
    let statuses = join_all(puts).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 201).count(),
        1,
        "{statuses:?}"
    );
    let total = service.get("Patient?identifier=U1&_summary=count").await;
    assert_eq!(total.body["total"], 1);
}

/// Creates, updates and transactions until there are so many of each.
async fn write(service: &Service, writer: usize, done: usize) -> BTreeSet<String> {
    let mut versions = BTreeSet::new();
    for n in 0..done {
        let id = format!("w{writer}-{}", n / 2);
        let text = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"F{n}"}}]}}"#);
        let answer = service.put(&format!("Patient/{id}"), &text).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        versions.insert(format!("{id}/{}", answer.text("/meta/versionId")));
    }
    versions
}

/// Asks for what is newer than the last that was seen, again and again, and once more when the writers are done.
async fn poll(service: &Service, search: &str, done: &AtomicBool) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut last = "2000-01-01T00:00:00Z".to_owned();
    loop {
        let ends = done.load(Ordering::SeqCst);
        let mut found = false;
        let page = service.get(&format!("{search}{last}")).await;
        for entry in page.body["entry"].as_array().into_iter().flatten() {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let version = format!("{}/{}", text("/resource/id"), text("/resource/meta/versionId"));
            assert!(seen.insert(version), "nothing comes twice");
            text("/resource/meta/lastUpdated").clone_into(&mut last);
            found = true;
        }
        if ends && !found {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_polls_by_time_misses_nothing() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers = async {
        let versions = join_all((0..8).map(|writer| write(&service, writer, 60))).await;
        done.store(true, Ordering::SeqCst);
        versions.into_iter().flatten().collect::<BTreeSet<_>>()
    };
    let search = "Patient?_sort=_lastUpdated&_count=20&_lastUpdated=gt";
    let (written, seen) = tokio::join!(writers, poll(&service, search, &done));
    // a version that was superseded between two polls isn't current any more; the last of each is
    let current = |all: &BTreeSet<String>| -> BTreeSet<String> {
        all.iter().filter(|version| version.ends_with("/2")).cloned().collect()
    };
    assert_eq!(current(&written).len(), 8 * 30);
    assert_eq!(current(&seen), current(&written));
    assert!(seen.is_subset(&written), "nothing is seen that wasn't acknowledged");
}
