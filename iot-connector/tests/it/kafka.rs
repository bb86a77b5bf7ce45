//! Records of Kafka: nothing is lost and nothing is there twice, whoever is killed.

use std::path::Path;

use iot_connector_settings::{Kafka, SaslMechanism, Settings};
use rskafka::client::partition::OffsetAt;
use serde_json::json;

use crate::{
    broker::{AWAY, PASSWORD, connected, each_is_there_once, lags, reading, refused},
    kafka_broker::{KafkaBroker, produce, produce_tombstone},
    kill::Process,
    support::{Fhir, Running, get_json, settings, until},
};

pub fn reading_from(address: String, folder: &Path, fhir: &str) -> Settings {
    let mut settings = settings(folder, fhir);
    settings.source.kafka = Some(Kafka {
        brokers: vec![address],
        topics: vec!["devices".to_owned()],
        device_key: true,
        ..Kafka::default()
    });
    settings.validate().unwrap();
    settings
}

fn with_secrets(mut settings: Settings, folder: &Path, mechanism: SaslMechanism) -> Settings {
    let kafka = settings.source.kafka.as_mut().unwrap();
    kafka.tls = true;
    kafka.mechanism = mechanism;
    kafka.username_file = Some(folder.join("user"));
    kafka.password_file = Some(folder.join("password"));
    kafka.ca_file = Some(folder.join("certificate.pem"));
    settings.validate().unwrap();
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_arrives_with_its_context_whoever_we_say_we_are() {
    let folder = tempfile::tempdir().unwrap();
    let broker = KafkaBroker::start(folder.path());
    broker.make_topic(3).await;
    let headers: [(&str, &[u8]); 2] = [("site", b"\xa1\x06ward a"), ("iothub-message-source", b"Telemetry")];
    produce(&broker.partition(0).await, "monitor-1", reading(0, 1), &[]).await;
    produce(&broker.partition(2).await, "monitor-1", "not JSON", &headers).await;
    let secure = [Some(SaslMechanism::Plain), Some(SaslMechanism::ScramSha512)];
    for mechanism in [None].into_iter().chain(secure) {
        let own = tempfile::tempdir().unwrap();
        let (fhir, url) = Fhir::start().await;
        let settings = match mechanism {
            None => reading_from(broker.open_address(), own.path(), &url),
            Some(mechanism) => {
                let settings = reading_from(broker.secure_address(), own.path(), &url);
                with_secrets(settings, folder.path(), mechanism)
            }
        };
        let connector = Running::start(settings).await;
        connected(&connector.management).await;
        let letter = until(async || connector.dead_letters().await.pop()).await;
        let observation = until(async || fhir.all("Observation").pop()).await;
        assert_eq!(observation["valueQuantity"]["value"], 1);
        let letter = get_json(&format!("{}/dead-letters/{}", connector.management, letter["id"])).await;
        assert_eq!(letter["payloadText"], "not JSON");
        assert_eq!(letter["properties"], json!({"site": "ward a"}));
        let expected = json!({
            "topic": "devices", "partition": "2", "offset": "0", "key": "monitor-1",
            "timestamp": "2026-01-01T10:00:00Z", "iothub-enqueuedtime": "2026-01-01T10:00:00Z",
            "iothub-connection-device-id": "monitor-1", "iothub-message-source": "Telemetry",
        });
        assert_eq!(letter["systemProperties"], expected);
        connector.idle().await;
        connector.assert_balance().await;
        connector.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_and_needs_no_restart_when_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let broker = KafkaBroker::start(folder.path());
    let (fhir, url) = Fhir::start().await;
    std::fs::write(folder.path().join("password"), "a wrong one").unwrap();
    let settings = reading_from(broker.secure_address(), folder.path(), &url);
    let connector = Running::start(with_secrets(settings, folder.path(), SaslMechanism::Plain)).await;
    let message = refused(&connector).await;
    assert!(
        message.contains("SaslAuthenticationFailed") && !message.contains("a wrong one"),
        "{message}"
    );
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let expected = "there is no topic `devices`, or this user may not see it: create or allow it, or correct \
                    `source.kafka.topics`";
    until(async || Some(refused(&connector).await).filter(|message| message == expected)).await;
    broker.make_topic(1).await;
    connected(&connector.management).await;

    // What the broker deleted before it was read is passed over, and reading goes on.
    let partition = broker.partition(0).await;
    produce(&partition, "d", reading(0, 1), &[]).await;
    until(async || fhir.all("Observation").pop()).await;
    connector.idle().await;
    connector.stop().await;
    for second in 2..5 {
        produce(&partition, "d", reading(0, second), &[]).await;
    }
    partition.delete_records(3, 5000).await.unwrap();
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.unwrap(), 3);
    let settings = reading_from(broker.open_address(), folder.path(), &url);
    let connector = Running::start(settings).await;
    until(async || Some(()).filter(|()| fhir.all("Observation").len() == 2)).await;
    connector.idle().await;
    assert_eq!(connector.account("messages").await, 2);
    connector.stop().await;

    // A topic that was made anew is read from its first message, whatever its offset.
    broker.delete_topic().await;
    broker.make_topic(1).await;
    let partition = broker.partition(0).await;
    produce_tombstone(&partition, "d").await;
    produce(&partition, "d", reading(0, 5), &[]).await;
    let settings = reading_from(broker.open_address(), folder.path(), &url);
    let connector = Running::start(settings).await;
    until(async || Some(()).filter(|()| fhir.all("Observation").len() == 3)).await;
    connector.idle().await;
    assert_eq!(connector.account("messages").await, 3);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_topic_keeps_while_the_queue_is_full_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = KafkaBroker::start(folder.path());
    broker.make_topic(2).await;
    let (fhir, url) = Fhir::start().await;
    fhir.always(Some(AWAY));
    let mut settings = reading_from(broker.open_address(), folder.path(), &url);
    settings.spool.max_bytes = 1;
    let connector = Running::start(settings).await;
    connected(&connector.management).await;
    let partitions = [broker.partition(0).await, broker.partition(1).await];
    produce(&partitions[0], "d", reading(0, 0), &[]).await;
    until(async || Some(connector.status().await).filter(|page| page["source"]["state"] == "Waiting")).await;
    for second in 1..6 {
        produce(&partitions[second % 2], "d", reading(0, second), &[]).await;
    }
    lags(&connector, "kafka", 5).await;
    fhir.always(None);
    until(async || Some(()).filter(|()| fhir.all("Observation").len() == 6)).await;
    lags(&connector, "kafka", 0).await;
    connector.stop().await;
}

/// Each with a killed connector and a killed broker.
const ROUNDS: usize = 2;
/// Messages of each round.
const MESSAGES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_every_record_is_an_observation_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = KafkaBroker::start(folder.path());
    broker.make_topic(2).await;
    let (fhir, url) = Fhir::start().await;
    let mut settings = reading_from(broker.open_address(), folder.path(), &url);
    settings.window.max_events = 10;
    let path = folder.path().join("settings.json");
    std::fs::write(&path, settings.minimal().to_string()).unwrap();

    let mut process = Process::start(&path);
    for minute in 0..ROUNDS {
        connected(&process.management).await;
        let partitions = [broker.partition(0).await, broker.partition(1).await];
        for second in 0..MESSAGES {
            if second == MESSAGES / 2 {
                process.kill();
            }
            produce(&partitions[second % 2], "d", reading(minute, second), &[]).await;
        }
        process = Process::start(&path);
        broker.kill();
        broker.start_again();
    }
    each_is_there_once(&fhir, process, ROUNDS, MESSAGES).await;
}
