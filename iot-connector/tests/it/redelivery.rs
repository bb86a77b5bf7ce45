//! A broker that does exactly what a test says, byte by byte (MQTT 3.1.1).

use std::path::Path;

use iot_connector_settings::{Mqtt, MqttVersion, Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Fhir, Running, settings, until};

const SUBSCRIBE: u8 = 8;
const PUBACK: u8 = 4;
const PACKET: u16 = 7;

struct Broker {
    listener: TcpListener,
}

impl Broker {
    async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    fn settings(&self, folder: &Path, fhir: &str) -> Settings {
        let mut settings = settings(folder, fhir);
        settings.source.mqtt = Some(Mqtt {
            address: format!("mqtt://{}", self.listener.local_addr().unwrap()),
            version: MqttVersion::V3,
            topics: vec!["t".to_owned()],
            client_id: "connector".to_owned(),
            ..Mqtt::default()
        });
        settings
    }

    /// A connection whose session goes on and whose subscription is in place.
    async fn accept(&self) -> Session {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut session = Session { stream };
        session.read().await;
        session.stream.write_all(&[0x20, 2, 1, 0]).await.unwrap();
        let (kind, body) = session.read().await;
        assert_eq!(kind, SUBSCRIBE);
        session.stream.write_all(&[0x90, 3, body[0], body[1], 1]).await.unwrap();
        session
    }
}

struct Session {
    stream: TcpStream,
}

impl Session {
    async fn read(&mut self) -> (u8, Vec<u8>) {
        let first = self.stream.read_u8().await.unwrap();
        // All that is said here is shorter than 128 bytes.
        let length = self.stream.read_u8().await.unwrap();
        let mut body = vec![0; usize::from(length)];
        self.stream.read_exact(&mut body).await.unwrap();
        (first >> 4, body)
    }

    async fn publish(&mut self, payload: &str, redelivered: bool) {
        let mut packet = vec![0x32 | u8::from(redelivered) << 3];
        packet.push(u8::try_from(5 + payload.len()).unwrap());
        packet.extend([0, 1, b't']);
        packet.extend(PACKET.to_be_bytes());
        packet.extend(payload.as_bytes());
        self.stream.write_all(&packet).await.unwrap();
    }

    async fn acknowledged(&mut self) {
        assert_eq!(self.read().await, (PUBACK, PACKET.to_be_bytes().to_vec()));
    }
}

#[tokio::test]
async fn what_is_delivered_again_is_acknowledged_and_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let broker = Broker::start().await;
    let settings = broker.settings(folder.path(), &url);

    let connector = Running::start(settings.clone()).await;
    let mut session = broker.accept().await;
    session.publish("{}", false).await;
    session.acknowledged().await;
    drop(session);
    // The acknowledgement got lost.
    let mut session = broker.accept().await;
    session.publish("{}", true).await;
    session.acknowledged().await;
    assert_eq!(connector.account("messages").await, 1);
    let metrics = connector.metrics().await;
    let line = "iot_connector_device_event_repeated_total{source=\"mqtt\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    connector.idle().await;
    connector.stop().await;
    drop(session);

    // After a restart, too, though the message is long finished.
    let connector = Running::start(settings).await;
    let mut session = broker.accept().await;
    session.publish("{}", true).await;
    session.acknowledged().await;
    assert_eq!(connector.account("messages").await, 1);
    // The same identifier for a new message with the same content.
    session.publish("{}", false).await;
    session.acknowledged().await;
    assert_eq!(connector.account("messages").await, 2);
    connector.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_not_acknowledged_to_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let broker = Broker::start().await;
    let mut settings = broker.settings(folder.path(), &url);
    settings.spool.max_bytes = 1;
    // Without a mapping everything waits.
    let mapping = settings.device_mapping.clone().unwrap();
    let aside = folder.path().join("aside");
    std::fs::rename(&mapping, &aside).unwrap();
    let connector = Running::start(settings).await;
    let mut session = broker.accept().await;
    session.publish("{}", false).await;
    session.acknowledged().await;
    let page = until(async || Some(connector.status().await).filter(|page| page["source"]["state"] == "Waiting")).await;
    assert!(
        page["source"]["message"].as_str().unwrap().contains("queue is full"),
        "{page}"
    );
    session.publish(r#"{"second": 1}"#, false).await;
    assert_eq!(connector.account("messages").await, 1);
    std::fs::rename(&aside, &mapping).unwrap();
    session.acknowledged().await;
    assert_eq!(connector.account("messages").await, 2);
    connector.stop().await;
}

#[tokio::test]
async fn what_the_disk_refuses_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let broker = Broker::start().await;
    let settings = broker.settings(folder.path(), &url);
    let spool = settings.spool.path.clone();
    let connector = Running::start(settings).await;
    let mut session = broker.accept().await;
    // Whoever holds the file's lock keeps everybody else from writing.
    let lock = rusqlite::Connection::open(spool).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    session.publish("{}", false).await;
    let said = session.stream.read_u8().await;
    assert!(
        said.is_err(),
        "{said:?}: the connection ends without an acknowledgement"
    );
    lock.execute_batch("ROLLBACK").unwrap();

    let mut session = broker.accept().await;
    session.publish("{}", true).await;
    session.acknowledged().await;
    assert_eq!(connector.account("messages").await, 1);
    connector.stop().await;
}
