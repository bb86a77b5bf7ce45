//! Two servers on one PostgreSQL: each does what the other one has been told.

use std::time::Duration;

use fhir_server_settings::{FhirVersion, Settings};
use reqwest::Method;
use serde_json::json;
use test_postgres::PostgresServer;

use crate::Service;
use crate::search_parameters::{parameter, reindexed};

async fn pair() -> [Service; 2] {
    let settings = Settings {
        fhir_version: Some(FhirVersion::R4),
        database: PostgresServer::shared().database(),
        anonymous: true,
        ..Settings::default()
    };
    [Service::on(settings.clone()).await, Service::on(settings).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_parameter_is_in_force_everywhere() {
    let [one, other] = pair().await;
    let patient = json!({"resourceType": "Patient", "id": "gold",
        "extension": [{"url": "http://e/tier", "valueString": "Gold"}]});
    one.put("Patient/gold", &patient.to_string()).await;
    let stored = one
        .put("SearchParameter/tier", &parameter("tier", "string").to_string())
        .await;
    assert_eq!(stored.status, 201, "{}", stored.body);
    reindexed(&one).await;
    // the other one only reads, so nothing but its own looking tells it
    let strict = [("Prefer", "handling=strict")];
    let found = async {
        loop {
            let found = other.send(Method::GET, "Patient?tier=gol", &strict, None).await;
            if found.status == 200 {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_mins(1), found)
        .await
        .expect("in force");
    assert_eq!(found.text("/entry/0/resource/id"), "gold", "{}", found.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_is_continued_by_the_other() {
    let [one, other] = pair().await;
    for n in 0..5 {
        let patient = json!({"resourceType": "Patient", "id": format!("p{n}")});
        let created = one.put(&format!("Patient/p{n}"), &patient.to_string()).await;
        assert_eq!(created.status, 201, "{}", created.body);
    }
    let first = one.get("Patient?_count=2").await;
    let links = first.body["link"].as_array().cloned().unwrap_or_default();
    let next = links
        .iter()
        .find(|link| link["relation"] == "next")
        .expect("a next page");
    let path = next["url"]
        .as_str()
        .and_then(|url| url.strip_prefix(&one.base))
        .expect("here");
    let second = other.get(path.trim_start_matches('/')).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.text("/entry/0/resource/id"), "p2", "{}", second.body);
}
