//! What can't be used is kept with its reason, delays nobody, and can be replayed.

use serde_json::{Value, json};

use crate::support::{Fhir, Running, Scripted, device_mapping, get_json, settings, until};

fn message(device: &str, minute: u32, heartrate: impl Into<Value>) -> Value {
    json!({"device": device, "patient": "p", "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": heartrate.into()})
}

#[tokio::test]
async fn poison_delays_nobody_and_the_account_balances() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.window.max_events = 100;
    let connector = Running::start(settings).await;
    let lines = [
        message("d", 0, 60).to_string(),
        "{not json".to_owned(),
        json!({"heartrate": 61, "time": "2026-01-01T10:01:00Z"}).to_string(),
        message("d", 2, "fast").to_string(),
        json!({"device": "e", "time": "2026-01-01T10:03:00Z", "heartrate": 62}).to_string(),
        json!({"nothing": "known"}).to_string(),
        message("d", 4, 63).to_string(),
    ];
    assert_eq!(connector.send(lines.join("\n")).await, 202);
    connector.idle().await;

    assert_eq!(fhir.all("Observation").len(), 2);
    let unmatched = get_json(&format!("{}/unmatched", connector.management)).await;
    let shape = &unmatched["shapes"][0];
    assert_eq!(
        (&shape["shape"], &shape["count"]),
        (&json!("{nothing: string}"), &json!(1))
    );
    assert_eq!(
        shape["templates"],
        json!([
            {"typeName": "heartrate", "reason": "no token has `heartrate`"},
            {"typeName": "steps", "reason": "no token has `steps`"}
        ])
    );
    let letters = connector.dead_letters().await;
    let found: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| (letter["stage"].as_str().unwrap(), letter["reason"].as_str().unwrap()))
        .collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            ("group", "InvalidQuantityFhirValue"),
            ("identity", "PatientIdentityNotDefined"),
            ("normalise", "IncompatibleData"),
            ("normalise", "InvalidDataFormat"),
        ]
    );
    let broken = letters
        .iter()
        .find(|letter| letter["reason"] == "InvalidDataFormat")
        .unwrap();
    let whole = get_json(&format!("{}/dead-letters/{}", connector.management, broken["id"])).await;
    assert_eq!(whole["payloadText"], "{not json");
    let lacking = letters
        .iter()
        .find(|letter| letter["reason"] == "IncompatibleData")
        .unwrap();
    assert_eq!(
        (&lacking["template"], &lacking["path"]),
        (&json!("heartrate"), &json!("$.device"))
    );

    let terms = [
        "messages",
        "matched",
        "unmatched",
        "dead",
        "readings",
        "points",
        "dead_readings",
    ];
    let mut account = Vec::new();
    for term in terms {
        account.push(connector.account(term).await);
    }
    assert_eq!(account, [7, 4, 1, 2, 4, 2, 2]);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_replayed_after_the_mapping_was_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let settings = settings(folder.path(), &url);
    let path = settings.device_mapping.clone().unwrap();
    let connector = Running::start(settings).await;
    let sent = json!({"id": "d", "patient": "p", "time": "2026-01-01T10:00:00Z", "heartrate": 60});
    connector.send(&sent).await;
    connector.idle().await;
    assert_eq!(connector.dead_letters().await.len(), 1);

    let mapping = device_mapping().to_string().replace("$.device", "$.id");
    std::fs::write(&path, mapping).unwrap();
    let client = reqwest::Client::new();
    let refused = client
        .post(format!("{}/dead-letters/replay", connector.management))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 400, "replaying everything has to be asked for");
    let misspelt = format!("{}/dead-letters?stage=normalise&resaon=x", connector.management);
    let refused = client.delete(misspelt).send().await.unwrap();
    assert_eq!(
        refused.status(),
        400,
        "a condition that isn't known is none to delete by"
    );
    let of_a_page = reqwest::Client::new()
        .post(format!("{}/dead-letters/replay?all=true", connector.management))
        .header("origin", "https://elsewhere.example")
        .send();
    assert_eq!(
        of_a_page.await.unwrap().status(),
        403,
        "no page of another origin replays"
    );
    let rebound = client
        .get(format!("{}/dead-letters", connector.management))
        .header("host", "rebound.example:9090")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), 421, "nor reads it under a name of its own");
    until(async || {
        // Until the new mapping is in force a replay dies again.
        let url = format!("{}/dead-letters/replay?all=true", connector.management);
        client.post(url).send().await.unwrap();
        connector.idle().await;
        (!fhir.all("Observation").is_empty()).then_some(())
    })
    .await;
    assert_eq!(connector.dead_letters().await.len(), 0);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn what_the_fhir_server_refuses_is_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    connector.send(message("d", 0, 60)).await;
    connector.idle().await;
    fhir.next_puts([Some(Scripted {
        status: 422,
        retry_after: None,
    })]);
    connector.send(message("d", 1, 61)).await;
    connector.send(message("d", 2, 62)).await;
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 2);
    let [letter] = &connector.dead_letters().await[..] else {
        panic!("one dead letter")
    };
    assert_eq!(
        (&letter["stage"], &letter["reason"]),
        (&json!("write"), &json!("FhirRefused"))
    );
    assert!(letter["detail"].as_str().unwrap().contains("422: scripted"));
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test]
async fn at_the_bound_ingest_stops_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.dead_letters.max_count = 2;
    let connector = Running::start(settings).await;
    connector.send("{oops").await;
    connector.send("{oops").await;
    connector.idle().await;
    assert_eq!(connector.send(message("d", 0, 60)).await, 507);
    let page = connector.status().await;
    assert!(
        page["ingestRefused"]
            .as_str()
            .unwrap()
            .starts_with("2 dead letters are kept"),
        "{page}"
    );
    let letters = connector.dead_letters().await;
    let url = format!("{}/dead-letters/{}", connector.management, letters[0]["id"]);
    assert_eq!(reqwest::Client::new().delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(reqwest::Client::new().delete(&url).send().await.unwrap().status(), 404);
    assert_eq!(connector.send(message("d", 0, 60)).await, 202);
    connector.idle().await;
    connector.stop().await;
}

#[tokio::test]
async fn what_the_management_port_refuses_is_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    let client = reqwest::Client::new();
    let at = |path: &str| format!("{}{path}", connector.management);
    for (request, status) in [
        (client.get(at("/dead-letters?limit=many")), 400),
        (client.get(at("/dead-letters/one")), 400),
        (client.get(at("/dead-letters/1")), 404),
        (client.delete(at("/dead-letters?stages=write")), 400),
        (client.get(at("/traces/one")), 400),
        (client.get(at("/traces?limit=-1")), 400),
        (
            client
                .post(at("/dry-run"))
                .header("content-type", "application/json")
                .body("{"),
            400,
        ),
        (client.post(at("/dry-run")).body("{}"), 415),
        (client.get(at("/nothing")), 404),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.url());
        let path = answer.url().to_string();
        let said: Value = answer.json().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            said["error"].as_str().is_some_and(|error| !error.is_empty()),
            "{path}: {said}"
        );
    }
    connector.stop().await;
}
