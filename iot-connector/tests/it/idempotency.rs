//! A request that is sent again with its key is answered as the first time and stored once.

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{Fhir, Running, settings};

async fn send(connector: &Running, key: &str, body: &Value) -> (u16, Value) {
    let request = Client::new().post(&connector.messages).header("Idempotency-Key", key);
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_request_with_a_known_key_is_answered_again_and_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let settings = settings(folder.path(), &url);
    let (two, one) = (json!([{"a": 1}, {"a": 2}]), json!({"a": 1}));
    let accepted_two = json!({"accepted": 2, "ids": {"first": 1, "last": 2}});
    let accepted_one = json!({"accepted": 1, "ids": {"first": 3, "last": 3}});

    let connector = Running::start(settings.clone()).await;
    assert_eq!(send(&connector, "k1", &two).await, (202, accepted_two.clone()));
    assert_eq!(send(&connector, "k1", &two).await, (202, accepted_two.clone()));
    assert_eq!(send(&connector, "k2", &one).await, (202, accepted_one));
    let (status, answer) = send(&connector, "k1", &one).await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("another body"), "{answer}");
    // Another device that happens to use the same key and to say the same.
    let request = reqwest::Client::new()
        .post(&connector.messages)
        .header("idempotency-key", "k1");
    let other = request
        .header("x-device-id", "other")
        .body(two.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 422);
    let (status, answer) = send(&connector, &"k".repeat(256), &one).await;
    assert_eq!(status, 400, "{answer}");
    connector.idle().await;
    assert_eq!(connector.account("messages").await, 3);
    connector.stop().await;

    // The messages are long finished, the key is still known.
    let connector = Running::start(settings).await;
    assert_eq!(send(&connector, "k1", &two).await, (202, accepted_two));
    assert_eq!(connector.account("messages").await, 3);
    let metrics = connector.metrics().await;
    let line = "iot_connector_device_event_repeated_total{source=\"http\"} 2";
    assert!(metrics.contains(line), "{metrics}");
    connector.stop().await;
}
