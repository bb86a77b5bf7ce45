//! What a path allows, and what browsers are told about it.

use fhir_server_settings::{Access, Cors, FhirVersion, Settings};
use reqwest::Method;
use rstest::rstest;

use crate::Service;

const APP: &str = "https://app.example.org";

#[rstest]
#[case::system("", "GET, HEAD, POST, OPTIONS")]
#[case::capabilities("metadata", "GET, HEAD, OPTIONS")]
#[case::type_level("Patient", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
#[case::instance("Patient/a", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")]
#[case::version("Patient/a/_history/1", "GET, HEAD, OPTIONS")]
#[case::search("Patient/_search", "GET, HEAD, POST, OPTIONS")]
#[case::operation("Patient/a/$purge-history", "DELETE, OPTIONS")]
#[case::operation_of_type("ValueSet/$expand", "GET, HEAD, POST, OPTIONS")]
#[tokio::test]
async fn a_path_says_what_it_allows(#[case] path: &str, #[case] allow: &str) {
    // nobody may do anything, but everybody may ask
    let service = Service::closed(FhirVersion::R4).await;
    let options = service.exchange(Method::OPTIONS, path, &[], None).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, allow));
    assert_eq!(options.header("access-control-allow-origin"), "");
    let refused = service.send(Method::TRACE, path, &[], None).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, allow));
    assert_eq!(refused.text("/resourceType"), "OperationOutcome");
}

/// Also where the method is served, and what was sent is not taken.
#[rstest]
#[case::bundle(
    Method::POST,
    "",
    r#"{"resourceType":"Bundle","entry":[]}"#,
    "GET, HEAD, POST, OPTIONS"
)]
#[case::definition(
    Method::POST,
    "SearchParameter",
    r#"{"resourceType":"SearchParameter","url":
    "http://hl7.org/fhir/SearchParameter/Account-owner","name":"o","status":"active","description":"d","code":"x",
    "base":["Account"],"type":"token","expression":"Account.id"}"#,
    "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
)]
#[tokio::test]
async fn every_405_says_what_is_allowed(
    #[case] method: Method,
    #[case] path: &str,
    #[case] body: &str,
    #[case] allow: &str,
) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let refused = service.send(method, path, &[], Some(body)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("allow")),
        (405, allow),
        "{}",
        refused.body
    );
}

#[rstest]
#[case("Clinic")]
#[case("patient/a")]
#[case("Patient/a/b/c/d")]
#[case("Patient/$nothing")]
#[tokio::test]
async fn a_path_that_is_not_there_allows_nothing(#[case] path: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let options = service.exchange(Method::OPTIONS, path, &[], None).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (404, ""));
}

async fn open_to_an_app() -> Service {
    Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        access: Some(Access::default()),
        cors: Cors {
            origins: vec![APP.to_owned()],
            headers: vec!["*".to_owned()],
            methods: vec!["PUT".to_owned()],
            max_age: Some(600),
            allow_credentials: true,
        },
        ..Settings::default()
    })
    .await
}

/// A browser asks first, without a token; where the request will fail, its answer shall be seen, too.
#[rstest]
#[case("Patient/a", 204)]
#[case("Clinic/a", 204)]
#[tokio::test]
async fn browsers_are_told_before(#[case] path: &str, #[case] status: u16) {
    let service = open_to_an_app().await;
    let asks = [
        ("origin", APP),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,if-match"),
    ];
    let answer = service.exchange(Method::OPTIONS, path, &asks, None).await;
    assert_eq!(answer.status.as_u16(), status);
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "PUT, GET, HEAD, POST"),
        ("access-control-allow-headers", "authorization,if-match"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[rstest]
#[case::refused("Patient/a", APP, 401, APP)]
#[case::open("metadata", APP, 200, APP)]
#[case::other_origin("metadata", "https://elsewhere.example.org", 200, "")]
#[tokio::test]
async fn browsers_are_told_with_answers(
    #[case] path: &str,
    #[case] origin: &str,
    #[case] status: u16,
    #[case] allowed: &str,
) {
    let service = open_to_an_app().await;
    let answer = service.exchange(Method::GET, path, &[("origin", origin)], None).await;
    assert_eq!(answer.status.as_u16(), status);
    assert_eq!(answer.header("access-control-allow-origin"), allowed);
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(exposed.contains("ETag"), !allowed.is_empty(), "{exposed}");
    let mut varies = answer.headers.get_all("vary").iter();
    assert!(varies.any(|value| value.to_str().is_ok_and(|value| value == "origin")));
}

#[tokio::test]
async fn the_capability_statement_says_so() {
    let service = open_to_an_app().await;
    let statement = service.get("metadata").await;
    assert_eq!(statement.body["rest"][0]["security"]["cors"], true);
    let silent = Service::anonymous(FhirVersion::Stu3).await.get("metadata").await;
    assert_eq!(silent.body["rest"][0].get("security"), None);
}
