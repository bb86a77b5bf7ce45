//! Tokens and roles over HTTP: who gets in, and what each role does.

use std::path::Path;
use std::time::Duration;

use fhir_server_settings::{FhirVersion, Role};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Answer, Service};
use crate::tokens::{AUDIENCE, Signer, access};

const ROLES: &[(&str, Role)] = &[
    ("reader", Role::Reader),
    ("writer", Role::Writer),
    ("contributor", Role::Contributor),
    ("connector", Role::Connector),
];
const PATIENT: &str = r#"{"resourceType":"Patient","id":"p"}"#;
const CONDITION: &str = r#"{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"}}"#;
const TRANSACTION: &str = r#"{"resourceType":"Bundle","type":"transaction","entry":[
    {"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
    {"resource":{"resourceType":"Condition","subject":{"reference":"Patient/p"}},"request":{"method":"POST","url":"Condition"}}]}"#;

/// A service with one issuer, whose keys are in `folder`.
async fn service(signer: &Signer, folder: &Path) -> Service {
    let keys = folder.join("jwks.json");
    signer.publish(&keys);
    Service::with_access(FhirVersion::R4, access(&keys, ROLES)).await
}

async fn send(service: &Service, bearer: &str, method: &str, path: &str, body: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let body = (!body.is_empty()).then_some(body);
    service.send(method, path, &[("authorization", bearer)], body).await
}

#[tokio::test]
async fn each_role_does_what_it_is_for() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let service = service(&signer, folder.path()).await;
    let contributor = signer.bearer("contributor", &json!({}));
    for (path, body) in [("Patient/p", PATIENT), ("Condition/c", CONDITION)] {
        assert_eq!(send(&service, &contributor, "PUT", path, body).await.status, 201);
    }
    // who: reader, writer, contributor, connector, somebody without a role
    let table: &[(&str, &str, &str, [u16; 5])] = &[
        ("GET", "Patient/p", "", [200, 200, 200, 200, 403]),
        ("GET", "Condition/c", "", [200, 200, 200, 403, 403]),
        ("GET", "Patient/p/_history", "", [200, 200, 200, 200, 403]),
        ("GET", "Patient?_count=1", "", [200, 200, 200, 200, 403]),
        ("GET", "Condition", "", [200, 200, 200, 403, 403]),
        ("POST", "Patient", PATIENT, [403, 201, 201, 201, 403]),
        ("PUT", "Patient/p", PATIENT, [403, 200, 200, 200, 403]),
        ("PUT", "Condition/c", CONDITION, [403, 200, 200, 403, 403]),
        ("POST", "", TRANSACTION, [403, 200, 200, 403, 403]),
        ("DELETE", "Condition/none", "", [403, 403, 204, 403, 403]),
        ("DELETE", "Patient/none", "", [403, 403, 204, 403, 403]),
    ];
    let who = ["reader", "writer", "contributor", "connector", "nobody"];
    let mut wrong = Vec::new();
    for (method, path, body, expected) in table {
        for (subject, expected) in who.iter().zip(expected) {
            let bearer = signer.bearer(subject, &json!({}));
            let answer = send(&service, &bearer, method, path, body).await;
            if answer.status != *expected {
                wrong.push(format!("{subject} {method} {path}: {} not {expected}", answer.status));
            }
            if answer.status == 403 {
                assert_eq!(answer.text("/resourceType"), "OperationOutcome");
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn a_connector_sees_only_its_types_anywhere() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let service = service(&signer, folder.path()).await;
    let contributor = signer.bearer("contributor", &json!({}));
    for (path, body) in [("Patient/p", PATIENT), ("Condition/c", CONDITION)] {
        send(&service, &contributor, "PUT", path, body).await;
    }
    let connector = signer.bearer("connector", &json!({}));
    for path in ["?_type=Patient,Condition", "Patient/p/*", "_history"] {
        let seen = send(&service, &connector, "GET", path, "").await;
        let text = seen.body.to_string();
        assert!(!text.contains("Condition/c"), "{path}: {text}");
        let all = send(&service, &contributor, "GET", path, "").await;
        assert!(all.body.to_string().contains("Condition/c"), "{path}: {}", all.body);
    }
}

#[rstest]
#[case::none("", "")]
#[case::no_bearer("Basic eDp5", "")]
#[case::garbage("Bearer x.y.z", "")]
#[case::expired("signed", r#"{"exp": 1000}"#)]
#[case::other_audience("signed", r#"{"aud": "https://other.example.org"}"#)]
#[case::other_issuer("signed", r#"{"iss": "https://other.example.org"}"#)]
#[case::other_key("forged", "{}")]
#[tokio::test]
async fn a_bad_token_gets_nobody_in(#[case] kind: &str, #[case] claims: &str) {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let service = service(&signer, folder.path()).await;
    let changed = || -> Value { serde_json::from_str(claims).expect("claims") };
    let header = match kind {
        "signed" => signer.bearer("reader", &changed()),
        "forged" => Signer::new().bearer("reader", &changed()),
        text => text.to_owned(),
    };
    let answer = send(&service, &header, "GET", "Patient/p", "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.text("/resourceType"), "OperationOutcome");
    assert_eq!(answer.text("/issue/0/code"), "login");
    let discovery = format!(r#", resource_id="{AUDIENCE}", realm="{AUDIENCE}""#);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with(r#"Bearer authorization_uri="http"#),
        "{challenge}"
    );
    assert!(challenge.contains(&discovery), "{challenge}");
    // the token itself is never said again
    assert!(
        !answer
            .body
            .to_string()
            .contains(header.rsplit(' ').next().filter(|t| !t.is_empty()).unwrap_or("\0"))
    );
}

#[tokio::test]
async fn a_changed_file_of_grants_is_in_force_soon() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let (keys, file) = (folder.path().join("jwks.json"), folder.path().join("access.json"));
    signer.publish(&keys);
    let write = |roles: &[(&str, Role)]| {
        let text = serde_json::to_string(&access(&keys, roles)).expect("JSON");
        std::fs::write(&file, text).expect("the file");
    };
    write(&[("reader", Role::Reader)]);
    let service = Service::with_access_file(FhirVersion::R4, &file).await;
    let (reader, other) = (signer.bearer("reader", &json!({})), signer.bearer("other", &json!({})));
    let status = async |bearer: &str| send(&service, bearer, "GET", "Patient", "").await.status.as_u16();
    assert_eq!((status(&reader).await, status(&other).await), (200, 403));

    write(&[("other", Role::Reader)]);
    let changed = async { while status(&other).await != 200 {} };
    tokio::time::timeout(Duration::from_mins(1), changed)
        .await
        .expect("the grants are read again");
    assert_eq!(status(&reader).await, 403);
}
