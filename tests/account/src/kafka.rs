//! A Kafka broker with the topic that devices write to.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use rskafka::{
    chrono::{DateTime, Utc},
    client::{
        Client, ClientBuilder,
        partition::{Compression, PartitionClient, UnknownTopicHandling},
    },
    record::Record,
};

use crate::programs::{Program, Ready, free, text};

/// The topic.
pub const TOPIC: &str = "devices";
/// Its partitions.
const PARTITIONS: i32 = 8;
/// How long the broker may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A broker that keeps its topics in a folder, and its address.
pub async fn start(folder: &Path) -> Result<(Program, String)> {
    let (listen, controller) = (free()?, free()?);
    let properties = folder.join("kafka.properties");
    let lines = [
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@{controller}"),
        format!("listeners=OPEN://{listen},CONTROLLER://{controller}"),
        format!("advertised.listeners=OPEN://{listen}"),
        "listener.security.protocol.map=OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        "inter.broker.listener.name=OPEN".to_owned(),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("log.dirs={}", text(&folder.join("topics"))),
        "offsets.topic.replication.factor=1".to_owned(),
    ];
    std::fs::write(&properties, lines.join("\n"))?;
    let properties = text(&properties);
    let format = arguments(&[
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        "MkU3OEVBNTcwNTJENDM2Qg",
        "--config",
        &properties,
    ])?;
    let made = Command::new("java").args(format).output().context("java")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let broker = Program::start(
        "java".into(),
        arguments(&["kafka.Kafka", &properties])?,
        Ready::Listens(listen.clone()),
        folder.join("kafka.log"),
    )
    .await?;
    let controller = client(&listen).await?.controller_client()?;
    while controller.create_topic(TOPIC, PARTITIONS, 1, 5000).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok((broker, listen))
}

/// Those of a program of the broker's jars, with a heap that is small and enough.
fn arguments(of_program: &[&str]) -> Result<Vec<String>> {
    let jars = std::env::var("KAFKA_JARS").context("KAFKA_JARS names the folder with the jars of Kafka")?;
    let of_java = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp"].map(str::to_owned);
    let all = of_java.into_iter().chain([format!("{jars}/*")]);
    Ok(all
        .chain(of_program.iter().map(|&argument| argument.to_owned()))
        .collect())
}

async fn client(address: &str) -> Result<Client> {
    Ok(ClientBuilder::new(vec![address.to_owned()]).build().await?)
}

/// Devices' connections: one for each partition.
pub async fn connect(address: &str) -> Result<Vec<PartitionClient>> {
    let connecting = async {
        let client = client(address).await?;
        let mut partitions = Vec::new();
        for number in 0..PARTITIONS {
            let partition = client.partition_client(TOPIC, number, UnknownTopicHandling::Error);
            partitions.push(partition.await?);
        }
        anyhow::Ok(partitions)
    };
    tokio::time::timeout(ANSWER, connecting).await?
}

/// Returns when the topic has all. A device, by its place among the messages, writes to the same partition always.
pub async fn publish(partitions: &[PartitionClient], messages: &[String]) -> Result<()> {
    let now = Timestamp::now().as_millisecond();
    let timestamp = DateTime::<Utc>::from_timestamp_millis(now).context("a time")?;
    let writing = partitions.iter().enumerate().map(|(number, partition)| {
        let own = messages.iter().skip(number).step_by(partitions.len());
        let records: Vec<Record> = own
            .map(|message| Record {
                key: None,
                value: Some(message.clone().into_bytes()),
                headers: BTreeMap::new(),
                timestamp,
            })
            .collect();
        async move {
            if records.is_empty() {
                return Ok(());
            }
            let written = partition.produce(records, Compression::NoCompression);
            tokio::time::timeout(ANSWER, written).await??;
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(writing).await.map(drop)
}
