//! Requests that come together travel in batches, whatever the FHIR server thinks of batches.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Fhir, Running, Scripted, settings};

/// Messages that are worked on at the same time.
const MESSAGES: usize = 200;

fn refusal(status: u16) -> Scripted {
    Scripted {
        status,
        retry_after: None,
    }
}

/// Messages of as many devices, sent at once and written at once.
async fn work(fhir: &Fhir, url: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), url);
    settings.window.max_events = u32::try_from(MESSAGES).unwrap();
    let connector = Running::start(settings).await;
    let messages: Vec<_> = (0..MESSAGES)
        .map(|number| {
            json!({"device": format!("d{number}"), "patient": format!("p{number}"),
                "time": "2026-01-01T10:00:00Z", "heartrate": number})
        })
        .collect();
    assert_eq!(connector.send(json!(messages)).await, 202);
    connector.idle().await;
    connector.assert_balance().await;
    let letters = connector.dead_letters().await;
    connector.stop().await;
    assert_eq!(fhir.all("Observation").len() + letters.len(), MESSAGES);
    letters
}

#[tokio::test]
async fn requests_that_come_together_travel_together() {
    let (fhir, url) = Fhir::start().await;
    assert!(work(&fhir, &url).await.is_empty());
    let requests = fhir.requests();
    let batches: Vec<usize> = requests
        .iter()
        .filter_map(|request| request.strip_prefix("BATCH ")?.parse().ok())
        .collect();
    let entries: usize = batches.iter().sum();
    let all = requests
        .iter()
        .filter(|request| request.starts_with("GET") || request.starts_with("PUT"));
    let alone = all.count() - entries;
    // three searches and three writes a message by themselves
    assert!(entries >= MESSAGES * 5, "{entries} in {batches:?}");
    assert!(
        batches.len() + alone < MESSAGES,
        "{} batches, {alone} alone",
        batches.len()
    );
    assert!(batches.iter().all(|entries| *entries <= 64), "{batches:?}");
}

#[rstest]
#[case::none_at_all(1, 405)]
#[case::not_implemented(1, 501)]
#[case::small_ones(5, 413)]
#[case::a_limit_of_entries(7, 400)]
#[tokio::test]
async fn a_server_that_refuses_bundles_gets_all(#[case] most: usize, #[case] status: u16) {
    let (fhir, url) = Fhir::start().await;
    fhir.refuse_batches_beyond(most, refusal(status));
    assert!(work(&fhir, &url).await.is_empty());
    let batches = fhir
        .requests()
        .iter()
        .filter(|request| request.starts_with("BATCH"))
        .count();
    if status == 405 || status == 501 {
        // those that were under way when the first was refused
        assert!(batches <= 16, "it was asked for batches {batches} times");
    }
}

#[tokio::test]
async fn what_is_refused_in_a_bundle_is_a_dead_letter_and_delays_nobody() {
    let (fhir, url) = Fhir::start().await;
    fhir.next_puts((0..MESSAGES).map(|number| (number % 10 == 0).then(|| refusal(422))));
    let letters = work(&fhir, &url).await;
    assert_eq!(letters.len(), MESSAGES / 10);
    assert!(
        letters.iter().all(|letter| letter["reason"] == "FhirRefused"),
        "{letters:?}"
    );
}
