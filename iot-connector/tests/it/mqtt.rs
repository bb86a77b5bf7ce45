//! Messages of an MQTT broker: nothing is lost and nothing is there twice, whoever is killed.

use iot_connector_settings::{Mqtt, MqttVersion};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    broker::{PASSWORD, connected, each_is_there_once, reading},
    kill::Process,
    mosquitto::{Mosquitto, Publisher},
    support::{Fhir, Running, get_json, settings, until},
};

fn mqtt(broker: &Mosquitto, folder: &std::path::Path, version: MqttVersion, topic: &str) -> Mqtt {
    Mqtt {
        address: broker.address(),
        version,
        topics: vec![topic.to_owned()],
        client_id: "connector".to_owned(),
        username_file: Some(folder.join("user")),
        password_file: Some(folder.join("password")),
        ca_file: broker.tls.then(|| folder.join("certificate.pem")),
        ..Mqtt::default()
    }
}

#[rstest]
#[case::version_3(MqttVersion::V3, false, "devices/+/readings", json!({}))]
#[case::version_5(MqttVersion::V5, false, "devices/#", json!({"site": "ward a"}))]
#[case::version_3_tls(MqttVersion::V3, true, "devices/#", json!({}))]
#[case::version_5_tls_shared(MqttVersion::V5, true, "$share/connectors/devices/+/readings", json!({"site": "ward a"}))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_broker_arrives_with_its_context(
    #[case] version: MqttVersion,
    #[case] tls: bool,
    #[case] topic: &str,
    #[case] properties: Value,
) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(folder.path(), tls);
    let (fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.source.mqtt = Some(Mqtt {
        device_level: Some(2),
        ..mqtt(&broker, folder.path(), version, topic)
    });
    settings.validate().unwrap();
    let connector = Running::start(settings).await;
    connected(&connector.management).await;
    let publisher = Publisher::connect(broker.port, broker.authority());
    let topic = "devices/monitor-1/readings";
    publisher.publish(topic, reading(0, 7), &[]).await;
    publisher.publish(topic, "not JSON", &[("site", "ward a")]).await;
    let letter = until(async || connector.dead_letters().await.pop()).await;
    connector.idle().await;

    let observations = fhir.all("Observation");
    assert_eq!(observations.len(), 1);
    assert_eq!(observations[0]["valueQuantity"]["value"], 7);
    let letter = get_json(&format!("{}/dead-letters/{}", connector.management, letter["id"])).await;
    assert_eq!(letter["payloadText"], "not JSON");
    assert_eq!(letter["properties"], properties);
    let mut system = letter["systemProperties"].clone();
    assert!(system["iothub-enqueuedtime"].take().is_string());
    let expected = json!({
        "mqtt-topic": topic, "mqtt-qos": "1", "mqtt-retain": "false",
        "iothub-connection-device-id": "monitor-1", "iothub-enqueuedtime": null
    });
    assert_eq!(system, expected);
    let metrics = connector.metrics().await;
    assert!(
        metrics.contains("iot_connector_source_connected{source=\"mqtt\"} 1"),
        "{metrics}"
    );
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_a_new_one_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(folder.path(), false);
    let (_fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.source.mqtt = Some(mqtt(&broker, folder.path(), MqttVersion::V5, "devices/#"));
    std::fs::write(folder.path().join("password"), "a wrong one").unwrap();
    let connector = Running::start(settings).await;
    let page =
        until(async || Some(connector.status().await).filter(|page| page["source"]["message"].is_string())).await;
    assert_eq!(page["source"]["state"], "Connecting");
    let message = page["source"]["message"].as_str().unwrap();
    assert!(
        message.contains("NotAuthorized") && !message.contains("a wrong one"),
        "{message}"
    );
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    connected(&connector.management).await;
    connector.stop().await;
}

/// Messages of each round.
const MESSAGES: usize = 40;

#[rstest]
#[case::version_3(MqttVersion::V3)]
#[case::version_5(MqttVersion::V5)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_every_message_is_an_observation_once(#[case] version: MqttVersion) {
    daemon::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path(), false);
    let (fhir, url) = Fhir::start().await;
    let mut settings = settings(folder.path(), &url);
    settings.window.max_events = 10;
    settings.source.mqtt = Some(mqtt(&broker, folder.path(), version, "devices/#"));
    let path = folder.path().join("settings.json");
    std::fs::write(&path, settings.minimal().to_string()).unwrap();

    let mut process = Process::start(&path);
    connected(&process.management).await;
    for minute in 0..3 {
        let publisher = Publisher::connect(broker.port, broker.authority());
        for second in 0..MESSAGES {
            if second == MESSAGES / 2 {
                process.kill();
            }
            publisher.publish("devices/d", reading(minute, second), &[]).await;
        }
        // What the broker has acknowledged is on its disk a little later, which is its own promise and not ours.
        let last = reading(minute, MESSAGES - 1).to_string();
        until(async || Some(()).filter(|()| broker.has_on_disk(&last))).await;
        drop(publisher);
        broker.kill();
        broker.start_again();
        process = Process::start(&path);
        connected(&process.management).await;
    }
    each_is_there_once(&fhir, process, 3, MESSAGES).await;
}
