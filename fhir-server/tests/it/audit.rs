//! The audit log: a line for each request, refusals too, and nothing of the data in it.

use fhir_server_settings::{FhirVersion, Role, Settings};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::Service;
use crate::tokens::{AUTHORITY, Signer, access};

#[tokio::test]
async fn each_request_is_a_line_without_values() {
    let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
    let (keys, log) = (folder.path().join("jwks.json"), folder.path().join("audit.log"));
    signer.publish(&keys);
    let service = Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        access: Some(access(&keys, &[("writer", Role::Writer)])),
        audit: format!("file:{}", log.display()),
        ..Settings::default()
    })
    .await;
    let bearer = signer.bearer("writer", &json!({"azp": "app-1"}));
    let patient = r#"{"resourceType":"Patient","id":"p","name":[{"family":"Secretname"}]}"#;
    let requests: [(&str, &str, &str, Option<&str>); 5] = [
        ("PUT", "Patient/p", &bearer, Some(patient)),
        ("GET", "Patient?family=Secretname&_count=3", &bearer, None),
        ("DELETE", "Patient/p", &bearer, None),
        ("GET", "Patient/p", "Bearer no.good.token", None),
        ("GET", "Nothing/p", &bearer, None),
    ];
    let mut ids = Vec::new();
    for (method, path, bearer, body) in requests {
        let headers = [
            ("authorization", bearer),
            ("x-request-id", "call-7"),
            ("x-ms-azurefhir-audit-site", "ward 3"),
        ];
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = service.send(method, path, &headers, body).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        ids.push(answer.header("x-request-id").to_owned());
    }
    let too_many: Vec<_> = (0..11).map(|n| (format!("x-ms-azurefhir-audit-{n}"), "v")).collect();
    let too_many: Vec<_> = too_many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let refused = service.send(Method::GET, "Patient", &too_many, None).await;
    assert_eq!(refused.status, 400);
    service.close().await;

    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(
        !text.contains("Secretname") && !text.contains("no.good.token"),
        "{text}"
    );
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (
                text("operationName"),
                text("fhirResourceType"),
                line["statusCode"].as_u64().unwrap_or_default(),
                text("resultType"),
                text("requestUri"),
            )
        })
        .collect();
    let line = |operation: &str, of: &str, status, result: &str, uri: &str| {
        (
            operation.to_owned(),
            of.to_owned(),
            status,
            result.to_owned(),
            uri.to_owned(),
        )
    };
    assert_eq!(
        told,
        [
            line("update", "Patient", 201, "Succeeded", "/Patient/p"),
            line("search-type", "Patient", 200, "Succeeded", "/Patient?family&_count"),
            line("delete", "Patient", 403, "Failed", "/Patient/p"),
            line("read", "Patient", 401, "Failed", "/Patient/p"),
            line("none", "", 404, "Failed", "/Nothing/p"),
            line("none", "", 400, "Failed", "/Patient"),
        ]
    );
    let first = &lines[0];
    assert_eq!(first["callerIdentityIssuer"], AUTHORITY);
    assert_eq!(first["callerIdentityObjectId"], "writer");
    assert_eq!(first["callerIdentity"], json!({"sub": "writer", "azp": "app-1"}));
    assert_eq!(first["correlationId"], "call-7");
    assert_eq!(first["properties"], json!({"x-ms-azurefhir-audit-site": "ward 3"}));
    assert_eq!(first["callerIPAddress"], "127.0.0.1");
    let written: Vec<_> = lines.iter().filter_map(|line| line["requestId"].as_str()).collect();
    assert_eq!(written[..5], ids[..]);
    assert!(lines[3].get("callerIdentity").is_none());
}
