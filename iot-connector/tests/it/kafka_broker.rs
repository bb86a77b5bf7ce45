//! A real Kafka broker in `KRaft` mode, in a temporary directory and on free ports.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rskafka::{
    chrono::{DateTime, Utc},
    client::{
        Client, ClientBuilder,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};

use crate::{
    broker::{PASSWORD, USER, listening, write_secrets},
    support::until,
};

/// Without TLS and user; with both; the controller's own.
const LISTENERS: [&str; 3] = ["OPEN", "SECURE", "CONTROLLER"];

pub struct KafkaBroker {
    child: Child,
    folder: PathBuf,
    ports: [u16; 3],
}

impl KafkaBroker {
    /// Starts one that keeps its topics in `folder`.
    ///
    /// # Panics
    /// Where the jars aren't there: a test that can't run fails.
    pub fn start(folder: &Path) -> Self {
        write_secrets(folder, true);
        let pem = ["key.pem", "certificate.pem"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
        std::fs::write(folder.join("keystore.pem"), pem.concat()).unwrap();
        // Somebody else may take a port that was free a moment ago.
        loop {
            let held = LISTENERS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
            let ports = held.map(|listener| listener.local_addr().unwrap().port());
            write_properties(folder, ports);
            format_storage(folder);
            if let Some(child) = run(folder, ports) {
                return Self {
                    child,
                    folder: folder.to_owned(),
                    ports,
                };
            }
        }
    }

    pub fn open_address(&self) -> String {
        format!("localhost:{}", self.ports[0])
    }

    pub fn secure_address(&self) -> String {
        format!("localhost:{}", self.ports[1])
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        self.child = std::iter::repeat_with(|| run(&self.folder, self.ports))
            .flatten()
            .next()
            .unwrap();
    }

    pub async fn client(&self) -> Client {
        ClientBuilder::new(vec![self.open_address()]).build().await.unwrap()
    }

    /// Makes the topic of all devices.
    pub async fn make_topic(&self, partitions: i32) {
        let client = self.client().await;
        let controller = client.controller_client().unwrap();
        until(async || controller.create_topic("devices", partitions, 1, 5000).await.ok()).await;
    }

    /// Takes the topic of all devices away, with its offsets.
    pub async fn delete_topic(&self) {
        let client = self.client().await;
        let deleted = client.controller_client().unwrap().delete_topic("devices", 5000).await;
        deleted.unwrap();
    }

    /// One partition of the topic of all devices, once it has a leader.
    pub async fn partition(&self, number: i32) -> PartitionClient {
        let client = self.client().await;
        until(async || {
            let opened = client.partition_client("devices", number, UnknownTopicHandling::Error);
            opened.await.ok()
        })
        .await
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when the topic has it.
pub async fn produce(partition: &PartitionClient, key: &str, body: impl ToString, headers: &[(&str, &[u8])]) {
    append(partition, key, Some(body.to_string().into_bytes()), headers).await;
}

/// A record without a value.
pub async fn produce_tombstone(partition: &PartitionClient, key: &str) {
    append(partition, key, None, &[]).await;
}

async fn append(partition: &PartitionClient, key: &str, value: Option<Vec<u8>>, headers: &[(&str, &[u8])]) {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    let record = Record {
        key: Some(key.as_bytes().to_vec()),
        value,
        headers: headers.collect::<BTreeMap<_, _>>(),
        timestamp: DateTime::<Utc>::from_timestamp_millis(WRITTEN).unwrap(),
    };
    partition.produce(vec![record], Compression::Zstd).await.unwrap();
}

/// When all records say that they were written: 2026-01-01T10:00:00Z.
const WRITTEN: i64 = 1_767_261_600_000;

fn write_properties(folder: &Path, ports: [u16; 3]) {
    let listeners = |names: &[usize]| {
        let listener = |index: &usize| format!("{}://localhost:{}", LISTENERS[*index], ports[*index]);
        names.iter().map(listener).collect::<Vec<_>>().join(",")
    };
    let lines = [
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@localhost:{}", ports[2]),
        format!("listeners={}", listeners(&[0, 1, 2])),
        format!("advertised.listeners={}", listeners(&[0, 1])),
        "listener.security.protocol.map=OPEN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT".to_owned(),
        "inter.broker.listener.name=OPEN".to_owned(),
        "controller.listener.names=CONTROLLER".to_owned(),
        "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512".to_owned(),
        "ssl.keystore.type=PEM".to_owned(),
        format!("ssl.keystore.location={}", folder.join("keystore.pem").display()),
        format!(
            "listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
             required user_{USER}=\"{PASSWORD}\";"
        ),
        "listener.name.secure.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;"
            .to_owned(),
        format!("log.dirs={}", folder.join("log").display()),
        "offsets.topic.replication.factor=1".to_owned(),
        "auto.create.topics.enable=false".to_owned(),
        "log.retention.check.interval.ms=500".to_owned(),
    ];
    std::fs::write(folder.join("server.properties"), lines.join("\n")).unwrap();
}

fn format_storage(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder.join("log"));
    let made = java()
        .args([
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            "MkU3OEVBNTcwNTJENDM2Qg",
        ])
        .arg("--add-scram")
        .arg(format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]"))
        .arg("--config")
        .arg(folder.join("server.properties"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn run(folder: &Path, ports: [u16; 3]) -> Option<Child> {
    let mut command = java();
    let command = command.arg("kafka.Kafka").arg(folder.join("server.properties"));
    listening(command, &ports)
}

fn java() -> Command {
    let jars = std::env::var("KAFKA_JARS")
        .expect("this test needs a folder with the jars of Kafka in `KAFKA_JARS`: `cargo xtask test` fetches them");
    let mut command = Command::new("java");
    command
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{jars}/*"));
    command
}
