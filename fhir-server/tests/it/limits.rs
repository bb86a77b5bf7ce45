//! Limits are enforced, and say what to do.

use fhir_server_settings::{FhirVersion, Limits, Settings};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::begun::Begun;
use crate::service::Service;

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p"}"#;

async fn service(limits: Limits) -> Service {
    Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        anonymous: true,
        limits,
        ..Settings::default()
    })
    .await
}

#[tokio::test]
async fn more_requests_at_a_time_come_again_later() {
    let limits = Limits {
        concurrent_requests: Some(1),
        ..Limits::default()
    };
    let service = service(limits).await;
    let address = service.base.trim_start_matches("http://").to_owned();
    let mut first = Begun::put(&address, "Patient/p", PATIENT.len()).await;
    let refused = service.get("Patient").await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/issue/0/code")),
        (429, "throttled")
    );
    assert_eq!(refused.header("retry-after"), "1");
    // health is nobody's request
    let health = service
        .client
        .get(format!("{}/health/ready", service.base))
        .send()
        .await;
    assert_eq!(health.expect("an answer").status(), 200);
    assert!(first.end(PATIENT).await.starts_with("HTTP/1.1 201"));
    assert_eq!(service.get("Patient/p").await.status, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_ends() {
    let limits = Limits {
        request_seconds: Some(1),
        ..Limits::default()
    };
    let service = service(limits).await;
    let address = service.base.trim_start_matches("http://").to_owned();
    let mut begun = Begun::put(&address, "Patient/p", PATIENT.len()).await;
    let answer = begun.next().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(service.get("Patient/p").await.status, 404);
}

#[tokio::test]
async fn larger_bodies_and_bundles_are_refused() {
    let limits = Limits {
        resource_bytes: Some(2_000),
        bundle_bytes: Some(4_000),
        bundle_entries: Some(2),
        count: Some(3),
        transaction_bundles: Some(false),
        ..Limits::default()
    };
    let service = service(limits).await;
    let padded = |length: usize| {
        let text = "x".repeat(length);
        format!(r#"{{"resourceType":"Patient","name":[{{"text":"{text}"}}]}}"#)
    };
    assert_eq!(service.post("Patient", &padded(1_500)).await.status, 201);
    let refused = service.post("Patient", &padded(2_000)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/issue/0/code")),
        (413, "too-long")
    );
    assert!(refused.text("/issue/0/diagnostics").contains("2000 bytes"));

    let entry = r#"{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}"#;
    let bundle = |kind: &str, entries: &[&str]| {
        let entries = entries.join(",");
        format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#)
    };
    assert_eq!(service.post("", &bundle("batch", &[entry; 2])).await.status, 200);
    let refused = service.post("", &bundle("batch", &[entry; 3])).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    assert!(refused.text("/issue/0/diagnostics").contains('2'), "{}", refused.body);
    assert_eq!(service.post("", &bundle("batch", &[&padded(4_000)])).await.status, 400);
    let refused = service.post("", &bundle("transaction", &[entry])).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);

    let page = service.get("Patient?_count=1000").await;
    let entries = page.body["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    assert_eq!(matches.count(), 3);
    // whoever asked for more is told
    assert!(entries.iter().any(|entry| entry["search"]["mode"] == "outcome"));
}

/// A refusal by the head alone leaves the body unread: the next request on the connection is answered all the same.
#[tokio::test]
async fn a_connection_outlives_a_refused_body() {
    let service = service(Limits::default()).await;
    let address = service.base.trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(&address).await.expect("a connection");
    let body = " ".repeat(48 << 10);
    let mut requests = format!(
        "POST /Clinic HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    requests.push_str(&body);
    requests.push_str("GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    connection.write_all(requests.as_bytes()).await.expect("written");
    let mut answers = String::new();
    connection.read_to_string(&mut answers).await.expect("answers");
    assert!(answers.starts_with("HTTP/1.1 404"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
}
