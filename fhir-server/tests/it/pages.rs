//! The links of pages: forth and back, sealed, bound to the search and to who asks; queries that links only name.

use fhir_server_settings::{FhirVersion, Role};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Answer, Service};
use crate::tokens::{Signer, access};

async fn fill(service: &Service, bearer: &str) {
    for number in 0..7 {
        let id = format!("p{number}");
        let body = json!({"resourceType": "Patient", "id": id, "active": true, "name": [{"family": format!("Secret{}", 9 - number)}]});
        let headers = [("authorization", bearer)];
        let sent = service
            .send(Method::PUT, &format!("Patient/{id}"), &headers, Some(&body.to_string()))
            .await;
        assert_eq!(sent.status, 201, "{:?}", sent.body);
    }
}

fn ids(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["resource"]["id"].as_str())
        .collect()
}

/// A link, from the service's base on.
fn link(service: &Service, bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array().expect("links");
    let link = links.iter().find(|link| link["relation"] == relation)?;
    let path = link["url"]
        .as_str()
        .expect("a URL")
        .strip_prefix(&service.base)
        .expect("our own");
    Some(path.trim_start_matches('/').to_owned())
}

async fn follow(service: &Service, answer: &Answer, relation: &str) -> Answer {
    let path =
        link(service, &answer.body, relation).unwrap_or_else(|| panic!("no `{relation}`: {}", answer.body["link"]));
    let answer = service.get(&path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer
}

#[tokio::test]
async fn pages_lead_forth_and_back() {
    let service = Service::anonymous(FhirVersion::R4).await;
    fill(&service, "").await;
    for (query, expected) in [
        ("Patient?active=true&_count=3", ["p0 p1 p2", "p3 p4 p5", "p6"]),
        ("Patient?_count=3&_sort=family", ["p6 p5 p4", "p3 p2 p1", "p0"]),
        ("Patient?_count=3&_sort=-_lastUpdated", ["p6 p5 p4", "p3 p2 p1", "p0"]),
    ] {
        let first = service.get(query).await;
        assert_eq!(ids(&first.body).join(" "), expected[0], "{query}");
        assert!(link(&service, &first.body, "previous").is_none());
        let second = follow(&service, &first, "next").await;
        assert_eq!(ids(&second.body).join(" "), expected[1], "{query}");
        let third = follow(&service, &second, "next").await;
        assert_eq!(ids(&third.body).join(" "), expected[2], "{query}");
        assert!(link(&service, &third.body, "next").is_none());
        let back = follow(&service, &third, "previous").await;
        assert_eq!(ids(&back.body).join(" "), expected[1], "{query}");
        let begin = follow(&service, &back, "previous").await;
        assert_eq!(ids(&begin.body).join(" "), expected[0], "{query}");
        assert!(link(&service, &begin.body, "previous").is_none());
        assert_eq!(
            ids(&follow(&service, &third, "first").await.body).join(" "),
            expected[0]
        );
        let last = follow(&service, &first, "last").await;
        let all = expected.join(" ");
        assert!(all.ends_with(&ids(&last.body).join(" ")), "{query}");
        assert_eq!(
            link(&service, &second.body, "self").expect("self"),
            link(&service, &first.body, "self").expect("self")
        );
    }
}

#[tokio::test]
async fn a_place_is_of_one_search_and_one_caller() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let keys = folder.path().join("jwks.json");
    signer.publish(&keys);
    let roles = [
        ("contributor", Role::Contributor),
        ("reader", Role::Reader),
        ("another", Role::Reader),
    ];
    let service = Service::with_access(FhirVersion::R4, access(&keys, &roles)).await;
    let (contributor, reader) = (
        signer.bearer("contributor", &json!({})),
        signer.bearer("reader", &json!({})),
    );
    let another = signer.bearer("another", &json!({}));
    fill(&service, &contributor).await;
    let ask = async |bearer: &str, path: &str| {
        service
            .send(Method::GET, path, &[("authorization", bearer)], None)
            .await
    };
    let first = ask(&reader, "Patient?active=true&_count=3").await;
    let next = link(&service, &first.body, "next").expect("next");
    let token = next.split("ct=").nth(1).expect("a token").to_owned();
    assert_eq!(ids(&ask(&reader, &next).await.body), ["p3", "p4", "p5"]);
    let mut flipped = token.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("text");
    for (who, path) in [
        (&contributor, next.clone()),
        (&another, next.clone()),
        (&reader, format!("Patient?active=false&_count=3&ct={token}")),
        (&reader, format!("Observation?ct={token}")),
        (&reader, format!("Patient?active=true&_count=3&ct={flipped}")),
        (&reader, "Patient?ct=0.5".to_owned()),
        (&reader, "Patient?ct=".to_owned()),
        (
            &reader,
            format!("Patient/$includes?active=true&_count=3&includesCt={token}"),
        ),
        (&reader, "Patient/$includes?active=true".to_owned()),
    ] {
        let answer = ask(who, &path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert_eq!(answer.text("/issue/0/code"), "invalid");
    }
}

#[tokio::test]
async fn what_a_form_asks_for_is_in_no_link() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let keys = folder.path().join("jwks.json");
    signer.publish(&keys);
    let roles = [("contributor", Role::Contributor), ("reader", Role::Reader)];
    let service = Service::with_access(FhirVersion::R4, access(&keys, &roles)).await;
    let (contributor, reader) = (
        signer.bearer("contributor", &json!({})),
        signer.bearer("reader", &json!({})),
    );
    fill(&service, &contributor).await;
    let headers = [
        ("authorization", reader.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let form = "family=Secret&_count=3&_sort=family";
    let first = service
        .send(Method::POST, "Patient/_search", &headers, Some(form))
        .await;
    let next = link(&service, &first.body, "next").expect("next");
    assert!(!next.contains("Secret") && !next.contains("family"), "{next}");
    let read = [("authorization", reader.as_str())];
    let second = service.send(Method::GET, &next, &read, None).await;
    assert_eq!(ids(&second.body), ["p3", "p2", "p1"]);
    let third = link(&service, &second.body, "next").expect("next");
    assert_eq!(ids(&service.send(Method::GET, &third, &read, None).await.body), ["p0"]);
    let foreign = service
        .send(Method::GET, &next, &[("authorization", &contributor)], None)
        .await;
    assert_eq!(foreign.status, 400, "{}", foreign.body);
    // neither where it doesn't say which page
    let (kept, _) = next.split_once("&ct=").expect("a token");
    let own = service.send(Method::GET, kept, &read, None).await;
    assert_eq!(ids(&own.body), ["p6", "p5", "p4"]);
    let foreign = service
        .send(Method::GET, kept, &[("authorization", &contributor)], None)
        .await;
    assert_eq!(foreign.status, 400, "{}", foreign.body);
    let unknown = service
        .send(Method::GET, "Patient?_query-kept=nothing", &read, None)
        .await;
    assert_eq!(unknown.status, 400, "{}", unknown.body);
}

#[tokio::test]
async fn links_of_a_long_query_are_short() {
    let service = Service::anonymous(FhirVersion::R4).await;
    fill(&service, "").await;
    let names: Vec<String> = (0..500).map(|number| format!("nobody{number}")).collect();
    let first = service
        .get(&format!("Patient?family={},secret&_count=4", names.join(",")))
        .await;
    assert_eq!(ids(&first.body), ["p0", "p1", "p2", "p3"]);
    for entry in first.body["link"].as_array().expect("links") {
        assert!(entry["url"].as_str().expect("a URL").len() < 512, "{entry}");
    }
    assert_eq!(ids(&follow(&service, &first, "next").await.body), ["p4", "p5", "p6"]);
    assert_eq!(
        ids(&follow(&service, &first, "self").await.body),
        ["p0", "p1", "p2", "p3"]
    );
}

#[tokio::test]
async fn totals() {
    let service = Service::anonymous(FhirVersion::R4).await;
    fill(&service, "").await;
    for (query, total) in [
        ("Patient?_count=2", Value::Null),
        ("Patient?_count=2&_total=none", Value::Null),
        ("Patient?_count=2&_total=accurate", json!(7)),
        ("Patient?_count=2&_total=estimate", json!(7)),
    ] {
        let answer = service.get(query).await;
        assert_eq!(answer.body["total"], total, "{query}");
        let next = follow(&service, &answer, "next").await;
        assert_eq!(next.body["total"], Value::Null, "{query}");
        assert!(!link(&service, &next.body, "self").expect("self").contains("ct="));
    }
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = format!("identifier={}", many.join(","));
    let refused = service
        .send(Method::POST, "Patient/_search", &headers, Some(&form))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let form = format!("identifier={}", many[..9_000].join(","));
    let taken = service
        .send(Method::POST, "Patient/_search", &headers, Some(&form))
        .await;
    assert_eq!(taken.status, 200, "{}", taken.body);
}
