//! `_include` and `_revinclude` over HTTP.

use fhir_server_settings::{FhirVersion, Limits, Role, Settings};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_postgres::PostgresServer;

use crate::service::Service;
use crate::tokens::{Signer, access};

async fn fill(service: &Service) {
    for (path, body) in [
        ("Organization/o", json!({"resourceType": "Organization", "id": "o"})),
        (
            "Patient/p",
            json!({"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/o"},
                "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}]}),
        ),
        (
            "Patient/q",
            json!({"resourceType": "Patient", "id": "q", "link": [{"other": {"reference": "Patient/p"}, "type": "seealso"}]}),
        ),
        ("Patient/gone", json!({"resourceType": "Patient", "id": "gone"})),
        (
            "Observation/a",
            json!({"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "a"},
                "subject": {"reference": "Patient/p"}, "performer": [{"reference": "Patient/gone"}]}),
        ),
        (
            "Observation/b",
            json!({"resourceType": "Observation", "id": "b", "status": "final", "code": {"text": "b"},
                "subject": {"reference": "Patient/p"}, "hasMember": [{"reference": "Observation/a"}]}),
        ),
    ] {
        assert_eq!(service.put(path, &body.to_string()).await.status, 201, "{path}");
    }
    service.delete("Patient/gone").await;
}

/// `mode:id` of each entry.
fn shown(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let name = |entry: &Value| format!("{}:{}", text(&entry["search"]["mode"]), text(&entry["resource"]["id"]));
    entries.iter().map(name).collect()
}

#[rstest]
#[case("Observation?_include=Observation:subject", "match:a match:b include:p")]
#[case("Observation?_id=b&_include=Observation:*", "match:b include:a include:p")]
#[case("Observation?_id=b&_include=Observation:has-member", "match:b include:a")]
#[case("Observation?_include=Observation:has-member", "match:a match:b")]
#[case("Observation?_include=Observation:subject:Group", "match:a match:b")]
#[case(
    "Observation?_id=a&_include=Observation:subject&_include:iterate=Patient:organization",
    "match:a include:p include:o"
)]
#[case("Patient?_id=p&_include:iterate=Patient:link", "match:p include:q")]
#[case("Patient?_id=p&_revinclude=Observation:subject", "match:p include:a include:b")]
#[case(
    "Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:subject:Patient",
    "match:o include:p include:a include:b"
)]
#[case("Patient?_id=p&_revinclude=*", "match:p include:q include:a include:b")]
#[case("Patient?_id=p&_revinclude=Observation:performer", "match:p")]
#[tokio::test]
async fn includes(#[case] query: &str, #[case] expected: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    fill(&service).await;
    let answer = service.get(query).await;
    assert_eq!(shown(&answer.body).join(" "), expected, "{query}");
    let counted = service.get(&format!("{query}&_summary=count")).await;
    let matches = expected.split(' ').filter(|entry| entry.starts_with("match")).count();
    assert_eq!(counted.body["total"], matches, "what is included isn't counted");
}

#[rstest]
#[case("Patient?_id=p&_revinclude=Observation:subject")]
#[case("Patient?_id=p&_revinclude=Observation:subject&_includesCount=5")]
#[case("Patient/p/Observation?_include=Observation:subject&_include=Observation:has-member")]
#[case("?_type=Patient&_id=p,q&_include=Patient:link&_include=Patient:organization&_revinclude=Observation:subject")]
#[tokio::test]
async fn more_than_the_limit_is_on_further_pages(#[case] query: &str) {
    let limits = Limits {
        includes: Some(1),
        ..Limits::default()
    };
    let service = Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        anonymous: true,
        limits,
        ..Settings::default()
    })
    .await;
    let whole = Service::anonymous(FhirVersion::R4).await;
    fill(&service).await;
    fill(&whole).await;
    let mut wanted = shown(&whole.get(query).await.body);
    wanted.retain(|entry| entry.starts_with("include"));
    let mut answer = service.get(query).await;
    let first = shown(&answer.body);
    if wanted.len() > 1 {
        assert!(first[0].starts_with("outcome:"), "{first:?}");
        assert_eq!(answer.text("/entry/0/resource/issue/0/code"), "incomplete");
    }
    let mut found: Vec<String> = first.into_iter().filter(|entry| entry.starts_with("include")).collect();
    while let Some(related) = related(&service, &answer.body) {
        answer = service.get(&related).await;
        assert_eq!(answer.status, 200, "{related}: {}", answer.body);
        let page: Vec<String> = shown(&answer.body)
            .into_iter()
            .filter(|entry| !entry.starts_with("outcome"))
            .collect();
        assert_eq!(page.len(), 1, "{page:?}");
        found.extend(page);
    }
    assert_eq!(found, wanted, "{query}");
}

fn related(service: &Service, bundle: &Value) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|link| link["relation"] == "related")?;
    let path = link["url"].as_str()?.strip_prefix(&service.base)?;
    Some(path.trim_start_matches('/').to_owned())
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_not_included() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let keys = folder.path().join("jwks.json");
    signer.publish(&keys);
    let roles = [("connector", Role::Connector), ("contributor", Role::Contributor)];
    let service = Service::with_access(FhirVersion::R4, access(&keys, &roles)).await;
    let contributor = signer.bearer("contributor", &json!({}));
    for (path, body) in [
        ("Organization/o", r#"{"resourceType":"Organization","id":"o"}"#),
        (
            "Patient/p",
            r#"{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"Organization/o"}}"#,
        ),
        (
            "Condition/c",
            r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"}}"#,
        ),
    ] {
        let headers = [("authorization", contributor.as_str())];
        let sent = service.send(reqwest::Method::PUT, path, &headers, Some(body)).await;
        assert_eq!(sent.status, 201, "{path}");
    }
    let query = "Patient?_include=Patient:organization&_revinclude=Condition:subject";
    for (who, expected) in [("contributor", "match:p include:o include:c"), ("connector", "match:p")] {
        let bearer = signer.bearer(who, &json!({}));
        let answer = service
            .send(reqwest::Method::GET, query, &[("authorization", &bearer)], None)
            .await;
        assert_eq!(shown(&answer.body).join(" "), expected, "{who}");
    }
}

/// Canonicals lead to resources by their URL.
#[rstest]
#[case::to_its_form(
    "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire",
    "match:r1 match:r2 include:q1 include:q2"
)]
#[case::of_a_type(
    "QuestionnaireResponse?_id=r1&_include=QuestionnaireResponse:questionnaire:Questionnaire",
    "match:r1 include:q1"
)]
#[case::all_of_a_type(
    "QuestionnaireResponse?_id=r2&_include=QuestionnaireResponse:*",
    "match:r2 include:q2"
)]
#[case::everything("QuestionnaireResponse?_id=r2&_include=*", "match:r2 include:q2")]
#[case::back(
    "Questionnaire?_id=q1&_revinclude=QuestionnaireResponse:questionnaire",
    "match:q1 include:r1"
)]
#[case::back_to_a_version(
    "Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:questionnaire",
    "match:q2 include:r2"
)]
#[case::on_and_on(
    "MeasureReport?_include=MeasureReport:measure&_include:iterate=Measure:depends-on",
    "match:report include:m include:l"
)]
#[case::and_back(
    "Library?_id=l&_revinclude:iterate=Measure:depends-on:Library&_revinclude:iterate=MeasureReport:measure:Measure",
    "match:l include:m include:report"
)]
#[tokio::test]
async fn canonicals_are_followed(#[values(false, true)] postgres: bool, #[case] query: &str, #[case] expected: &str) {
    let database = if postgres {
        PostgresServer::shared().database()
    } else {
        String::new()
    };
    let service = Service::of(FhirVersion::R4, &database).await;
    for resource in [
        json!({"resourceType": "Questionnaire", "id": "q1", "status": "active", "url": "http://e/q/1"}),
        json!({"resourceType": "Questionnaire", "id": "q2", "status": "active", "url": "http://e/q/2", "version": "7"}),
        json!({"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed", "questionnaire": "http://e/q/1"}),
        json!({"resourceType": "QuestionnaireResponse", "id": "r2", "status": "completed", "questionnaire": "http://e/q/2|7"}),
        json!({"resourceType": "Library", "id": "l", "status": "active", "type": {"text": "l"}, "url": "http://e/l"}),
        json!({"resourceType": "Measure", "id": "m", "status": "active", "url": "http://e/m", "library": ["http://e/l"]}),
        json!({"resourceType": "MeasureReport", "id": "report", "status": "complete", "type": "summary", "measure": "http://e/m",
            "period": {"start": "2020"}}),
    ] {
        let path = format!(
            "{}/{}",
            resource["resourceType"].as_str().unwrap(),
            resource["id"].as_str().unwrap()
        );
        let written = service.put(&path, &resource.to_string()).await;
        assert_eq!(written.status, 201, "{}", written.body);
    }
    let found = service.get(query).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(shown(&found.body).join(" "), expected, "{}", found.body);
}
