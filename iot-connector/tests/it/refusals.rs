//! What a device is told when its message isn't taken, and what to do about it.

use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::support::{Fhir, Running, settings};

async fn send(
    connector: &Running,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: impl Into<reqwest::Body>,
) -> Response {
    let url = connector.messages.replace("/messages", path);
    Client::new()
        .request(method, url)
        .header(header.0, header.1)
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn error_of(response: Response) -> String {
    let answer: Value = response.json().await.unwrap();
    answer["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    let plain = ("content-type", "application/json");
    let long = format!("\"{}\"", "x".repeat(8 << 20));
    let cases = [
        (Method::GET, "/messages", plain, String::new(), 405, "POST /messages"),
        (
            Method::POST,
            "/message",
            plain,
            "{}".to_owned(),
            404,
            "post to `/messages`",
        ),
        (Method::POST, "/messages", plain, String::new(), 400, "send JSON"),
        (Method::POST, "/messages", plain, "[]".to_owned(), 400, "send JSON"),
        (
            Method::POST,
            "/messages",
            ("content-encoding", "br"),
            "{}".to_owned(),
            415,
            "use gzip, zstd or none",
        ),
        (
            Method::POST,
            "/messages",
            ("content-encoding", "gzip"),
            "{}".to_owned(),
            400,
            "`Content-Encoding`",
        ),
        (Method::POST, "/messages", plain, long, 413, "split it"),
    ];
    for (method, path, header, body, status, part) in cases {
        let response = send(&connector, method, path, header, body).await;
        assert_eq!(response.status(), status, "{part}");
        let error = error_of(response).await;
        assert!(error.contains(part), "`{error}` says `{part}`");
    }
    assert_eq!(connector.account("messages").await, 0);
    connector.stop().await;
}

#[tokio::test]
async fn a_full_queue_asks_for_patience() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    // Without a mapping everything waits.
    settings.device_mapping = None;
    settings.spool.max_bytes = 1;
    let connector = Running::start(settings).await;
    assert_eq!(connector.send("{}").await, 202);
    let refused = send(&connector, Method::POST, "/messages", ("x-device-id", "d"), "{}").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "10");
    let error = error_of(refused).await;
    assert!(error.contains("send it again later"), "{error}");
    assert_eq!(connector.status().await["ingestRefused"], error);
    connector.stop().await;
}

#[tokio::test]
async fn a_body_cannot_pretend_to_be_the_envelope() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    let body =
        r#"{"heartrate": 60}, "SystemProperties": {"device": "other", "time": "2026-01-01T10:00:00Z", "heartrate": 1}"#;
    connector.send(body).await;
    connector.idle().await;
    let letters = connector.dead_letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["reason"], "InvalidDataFormat");
    assert!(
        letters[0]["detail"].as_str().unwrap().contains("line 1, position 18"),
        "{letters:?}"
    );
    assert_eq!(fhir.all("Observation").len(), 0);
    connector.stop().await;
}
