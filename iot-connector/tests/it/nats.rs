//! Messages of a JetStream stream: nothing is lost and nothing is there twice, whoever is killed.

use std::path::Path;

use iot_connector_settings::{Nats, NatsServers, Settings};
use rstest::rstest;
use rumqttc_v4::{PublishOptions, QoS};
use serde_json::json;

use crate::{
    broker::{AWAY, PASSWORD, USER, connected, each_is_there_once, lags, reading, refused},
    kill::Process,
    nats_server::{NatsServer, make_stream, publish},
    support::{Fhir, Running, get_json, settings, until},
};

/// How the server is reached.
pub fn reached(server: &NatsServer, folder: &Path) -> NatsServers {
    NatsServers {
        servers: vec![server.address()],
        username_file: Some(folder.join("user")),
        password_file: Some(folder.join("password")),
        ca_file: server.tls.then(|| folder.join("certificate.pem")),
        ..NatsServers::default()
    }
}

pub fn reading_from(server: &NatsServer, folder: &Path, fhir: &str) -> Settings {
    let mut settings = settings(folder, fhir);
    settings.source.nats = Some(Nats {
        at: reached(server, folder),
        stream: "DEVICES".to_owned(),
        consumer: "connector".to_owned(),
        device_token: Some(2),
        ..Nats::default()
    });
    settings.validate().unwrap();
    settings
}

#[rstest]
#[case::plain(false)]
#[case::tls(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_stream_arrives_with_its_context(#[case] tls: bool) {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), tls);
    let jetstream = server.jetstream().await;
    make_stream(&jetstream).await;
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(reading_from(&server, folder.path(), &url)).await;
    connected(&connector.management).await;
    let subject = "devices.monitor-1.readings";
    let headers = [("site", "ward a"), ("Nats-Msg-Id", "1")];
    publish(&jetstream, subject, reading(0, 1), &[]).await;
    publish(&jetstream, subject, "not JSON", &headers).await;
    let letter = until(async || connector.dead_letters().await.pop()).await;
    connector.idle().await;

    let observations = fhir.all("Observation");
    assert_eq!(observations.len(), 1);
    assert_eq!(observations[0]["valueQuantity"]["value"], 1);
    let letter = get_json(&format!("{}/dead-letters/{}", connector.management, letter["id"])).await;
    assert_eq!(letter["payloadText"], "not JSON");
    assert_eq!(letter["properties"], json!({"site": "ward a"}));
    let mut system = letter["systemProperties"].clone();
    let times = ["iothub-enqueuedtime", "timestamp"].map(|name| system[name].take());
    assert!(times[0].is_string() && times[0] == times[1], "{times:?}");
    let expected = json!({
        "subject": subject, "stream": "DEVICES", "sequence": "2", "timestamp": null,
        "iothub-connection-device-id": "monitor-1", "iothub-enqueuedtime": null
    });
    assert_eq!(system, expected);
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_may_speak_mqtt_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), false);
    make_stream(&server.jetstream().await).await;
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(reading_from(&server, folder.path(), &url)).await;
    let mut options = rumqttc_v4::MqttOptions::new("monitor-1", ("localhost", server.mqtt_port));
    options.set_credentials(USER, PASSWORD.as_bytes().to_vec());
    let (device, mut events) = rumqttc_v4::AsyncClient::builder(options).build();
    let running = tokio::spawn(async move { while events.poll().await.is_ok() {} });
    let topic = "devices/monitor-1/readings";
    let sent = device.publish_tracked(topic, reading(0, 7).to_string(), PublishOptions::new(QoS::AtLeastOnce));
    sent.await.unwrap().wait_async().await.unwrap();
    running.abort();
    let observation = until(async || fhir.all("Observation").pop()).await;
    assert_eq!(observation["valueQuantity"]["value"], 7);
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_and_needs_no_restart_when_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), false);
    let (_fhir, url) = Fhir::start().await;
    std::fs::write(folder.path().join("password"), "a wrong one").unwrap();
    let connector = Running::start(reading_from(&server, folder.path(), &url)).await;
    let message = refused(&connector).await;
    assert!(
        message.contains("authorization violation") && !message.contains("a wrong one"),
        "{message}"
    );
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let expected = "there is no stream `DEVICES`: create it, or correct `source.nats.stream`";
    until(async || Some(refused(&connector).await).filter(|message| message == expected)).await;
    make_stream(&server.jetstream().await).await;
    connected(&connector.management).await;
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_deleted_is_made_again_and_nothing_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), false);
    let jetstream = server.jetstream().await;
    make_stream(&jetstream).await;
    let (fhir, url) = Fhir::start().await;
    let connector = Running::start(reading_from(&server, folder.path(), &url)).await;
    publish(&jetstream, "devices.d", reading(0, 1), &[]).await;
    until(async || fhir.all("Observation").pop()).await;
    let stream = jetstream.get_stream("DEVICES").await.unwrap();
    stream.delete_consumer("connector").await.unwrap();
    publish(&jetstream, "devices.d", reading(0, 2), &[]).await;
    until(async || Some(()).filter(|()| fhir.all("Observation").len() == 2)).await;
    connector.idle().await;
    let metrics = connector.metrics().await;
    assert!(
        metrics.contains("iot_connector_device_event_repeated_total{source=\"nats\"} 1"),
        "{metrics}"
    );
    connector.assert_balance().await;
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_stream_keeps_while_the_queue_is_full_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = NatsServer::start(folder.path(), false);
    let jetstream = server.jetstream().await;
    make_stream(&jetstream).await;
    let (fhir, url) = Fhir::start().await;
    fhir.always(Some(AWAY));
    let mut settings = reading_from(&server, folder.path(), &url);
    settings.spool.max_bytes = 1;
    let connector = Running::start(settings).await;
    publish(&jetstream, "devices.d", reading(0, 0), &[]).await;
    until(async || Some(connector.status().await).filter(|page| page["source"]["state"] == "Waiting")).await;
    for second in 1..6 {
        publish(&jetstream, "devices.d", reading(0, second), &[]).await;
    }
    lags(&connector, "nats", 5).await;
    fhir.always(None);
    until(async || Some(()).filter(|()| fhir.all("Observation").len() == 6)).await;
    lags(&connector, "nats", 0).await;
    connected(&connector.management).await;
    connector.stop().await;
}

/// Each with a killed connector and a killed server.
const ROUNDS: usize = 2;
/// Messages of each round.
const MESSAGES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_every_message_is_an_observation_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = NatsServer::start(folder.path(), false);
    make_stream(&server.jetstream().await).await;
    let (fhir, url) = Fhir::start().await;
    let mut settings = reading_from(&server, folder.path(), &url);
    settings.window.max_events = 10;
    let path = folder.path().join("settings.json");
    std::fs::write(&path, settings.minimal().to_string()).unwrap();

    let mut process = Process::start(&path);
    for minute in 0..ROUNDS {
        connected(&process.management).await;
        let jetstream = server.jetstream().await;
        for second in 0..MESSAGES {
            if second == MESSAGES / 2 {
                process.kill();
            }
            publish(&jetstream, "devices.d", reading(minute, second), &[]).await;
        }
        process = Process::start(&path);
        server.kill();
        server.start_again();
    }
    each_is_there_once(&fhir, process, ROUNDS, MESSAGES).await;
}
