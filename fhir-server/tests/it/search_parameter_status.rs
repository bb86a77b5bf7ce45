//! `SearchParameter/$status`: what is searched, turned off and on.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use test_postgres::PostgresServer;

use crate::Service;
use crate::search_parameters::{parameter, reindexed};
use crate::service::Answer;

const GENDER: &str = "http://hl7.org/fhir/SearchParameter/individual-gender";
const STU3_GENDER: &str = "http://hl7.org/fhir/SearchParameter/Patient-gender";

fn asked(url: &str, status: &str) -> String {
    let part = json!([{"name": "url", "valueUrl": url}, {"name": "status", "valueString": status}]);
    json!({"resourceType": "Parameters", "parameter": [{"name": "searchParameterStatus", "part": part}]}).to_string()
}

/// URL and status of each.
fn told(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let parameters = answer.body["parameter"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |parameter: &Value| {
        let part = &parameter["part"];
        (text(&part[0]["valueUrl"]), text(&part[1]["valueString"]))
    };
    parameters.iter().map(one).collect()
}

#[rstest]
#[tokio::test]
async fn what_is_turned_off_is_not_searched(
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
    #[values(false, true)] postgres: bool,
) {
    let database = if postgres {
        PostgresServer::shared().database()
    } else {
        String::new()
    };
    let service = Service::of(version, &database).await;
    let url = match version {
        FhirVersion::R4 => GENDER,
        FhirVersion::Stu3 => STU3_GENDER,
    };
    let path = format!("SearchParameter/$status?url={url}");
    assert_eq!(
        told(&service.get(&path).await),
        [(url.to_owned(), "Enabled".to_owned())]
    );
    service
        .put("Patient/a", r#"{"resourceType":"Patient","id":"a","gender":"male"}"#)
        .await;
    let strict = [("prefer", "handling=strict")];
    let search = async || {
        service
            .send(Method::GET, "Patient?gender=female", &strict, None)
            .await
            .status
            .as_u16()
    };
    assert_eq!(search().await, 200);
    let off = service.put("SearchParameter/$status", &asked(url, "Disabled")).await;
    assert_eq!(told(&off), [(url.to_owned(), "Disabled".to_owned())]);
    assert_eq!(search().await, 400);
    let lenient = service.get("Patient?gender=female").await;
    assert_eq!(lenient.text("/entry/0/search/mode"), "outcome", "{}", lenient.body);
    // what is written meanwhile is found when it is on again
    service
        .put("Patient/b", r#"{"resourceType":"Patient","id":"b","gender":"female"}"#)
        .await;
    let again = service.put("SearchParameter/$status", &asked(url, "Supported")).await;
    assert_eq!(told(&again), [(url.to_owned(), "Enabled".to_owned())]);
    let found = service.get("Patient?gender=female").await;
    assert_eq!(found.text("/entry/0/resource/id"), "b", "{}", found.body);
}

#[rstest]
#[case::by_code_and_type("code=gender&resourcetype=Patient", 1)]
#[case::by_two_urls(
    "url=http://hl7.org/fhir/SearchParameter/Resource-id,http://hl7.org/fhir/SearchParameter/Patient-link",
    2
)]
#[tokio::test]
async fn they_are_found_by_url_code_and_type(#[case] query: &str, #[case] number: usize) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let found = told(&service.get(&format!("SearchParameter/$status?{query}")).await);
    assert_eq!(found.len(), number, "{found:?}");
    assert!(found.iter().all(|(_, status)| status == "Enabled"));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let parameters: Vec<Value> = pairs
        .map(|(name, value)| json!({"name": name, "valueString": value}))
        .collect();
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    assert_eq!(
        told(&service.post("SearchParameter/$status", &body.to_string()).await),
        found
    );
}

#[tokio::test]
async fn own_ones_have_a_status_too() {
    let service = Service::anonymous(FhirVersion::R4).await;
    service.put("Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
    service
        .put("SearchParameter/tier", &parameter("tier", "string").to_string())
        .await;
    reindexed(&service).await;
    let of = "SearchParameter/$status?url=http://e/tier";
    assert_eq!(told(&service.get(of).await)[0].1, "Enabled");
    let off = service
        .put("SearchParameter/$status", &asked("http://e/tier", "Disabled"))
        .await;
    assert_eq!(told(&off)[0].1, "Disabled");
}

#[rstest]
#[case::unknown(Method::PUT, "", &asked("http://e/nothing", "Disabled"), 400, "no search parameter")]
#[case::status(Method::PUT, "", &asked(GENDER, "Deleted"), 400, "can't be asked for")]
#[case::needed(Method::PUT, "", &asked("http://hl7.org/fhir/SearchParameter/Resource-id", "Disabled"), 400, "needed by the service")]
#[case::nothing(Method::PUT, "", r#"{"resourceType":"Parameters"}"#, 400, "searchParameterStatus")]
#[case::parameter(Method::GET, "?name=gender", "", 400, "'name'")]
#[case::not_found(Method::GET, "?code=nothing", "", 404, "no search parameter")]
#[case::no_type(Method::GET, "?resourcetype=Clinic", "", 404, "Clinic")]
#[tokio::test]
async fn what_makes_no_sense_is_refused(
    #[case] method: Method,
    #[case] query: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] text: &str,
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let body = Some(body).filter(|body| !body.is_empty());
    let answer = service
        .send(method, &format!("SearchParameter/$status{query}"), &[], body)
        .await;
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert!(answer.text("/issue/0/diagnostics").contains(text), "{}", answer.body);
}
