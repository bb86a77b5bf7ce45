//! Connectors that read a stream of a NATS server outside of the cluster, alone and several together.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream;
use e2e::{Cluster, Fhir, Namespace, connector, eventually, service};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{OPERATOR, durability::send};

/// A NATS server of this machine, ended when dropped.
struct Server {
    address: String,
    _child: Child,
}

impl Server {
    fn start(folder: &Path, token: &str) -> Result<Self> {
        let program = std::env::var_os("NATS_SERVER").context("NATS_SERVER names the program")?;
        let host = std::env::var("E2E_HOST").context("E2E_HOST is where pods reach this machine")?;
        let port = TcpListener::bind((host.as_str(), 0))?.local_addr()?.port();
        let configuration = folder.join("nats.conf");
        // streams are given their bounds whatever this machine's disk has left at the moment
        std::fs::write(
            &configuration,
            format!(
                "jetstream {{ store_dir: '{}', max_file_store: 64GB }}\n",
                folder.display()
            ),
        )?;
        let child = Command::new(program)
            .args([
                "--addr",
                &host,
                "--port",
                &port.to_string(),
                "--auth",
                token,
                "--config",
            ])
            .arg(configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting the NATS server")?;
        Ok(Self {
            address: format!("nats://{host}:{port}"),
            _child: child,
        })
    }

    /// A client, and the stream that connectors read.
    async fn stream(&self, token: &str) -> Result<jetstream::Context> {
        let client = eventually("the NATS server", || async {
            let options = async_nats::ConnectOptions::with_token(token.to_owned());
            Ok(options.connect(&self.address).await?)
        })
        .await?;
        let jetstream = jetstream::new(client);
        let stream = jetstream::stream::Config {
            name: "DEVICES".to_owned(),
            subjects: vec!["devices.>".to_owned()],
            ..Default::default()
        };
        jetstream.create_stream(stream).await?;
        Ok(jetstream)
    }
}

/// What the condition `SourceReady` says.
async fn told(namespace: &Namespace) -> Result<String> {
    let found = namespace.get("iot/vitals").await?.context("the connector is there")?;
    let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "SourceReady");
    Ok(ready
        .map(|condition| condition["message"].to_string())
        .unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_as_soon_as_the_secret_is_there() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), "a token")?;
    let jetstream = server.stream("a token").await?;

    let namespace = Cluster::connect()?.namespace("streamed").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    let source = format!(
        "  source: {{nats: {{servers: ['{}'], stream: DEVICES, secretName: broker}}}}\n",
        server.address
    );
    namespace.apply(&connector("vitals", "clinic", &source)).await?;
    eventually("the missing Secret is told", || async {
        let message = told(&namespace).await?;
        ensure!(message.contains("is the Secret there?"), "{message}");
        Ok(())
    })
    .await?;
    namespace.until("iot/vitals", "Ready", "False", "NotConnected").await?;

    let secret = ["create", "secret", "generic", "broker", "--from-literal=token=a token"];
    namespace.kubectl(&secret).await?;
    let message = json!({"heartRate": 61, "deviceId": "d1", "patientId": "p1", "endDate": "2026-01-01T08:00:00Z"});
    jetstream
        .publish("devices.d1", message.to_string().into())
        .await?
        .await?;
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    let found = fhir.until_found("Observation?code=8867-4", 1).await?;
    ensure!(found["entry"][0]["resource"]["valueQuantity"]["value"] == 61, "{found}");
    namespace.delete().await
}

/// Readings, half of them before a replica is gone.
const READINGS: u32 = 40;

fn reading(number: u32) -> (String, Value) {
    let time = format!("2026-01-01T08:00:{number:02}Z");
    let device = format!("d{}", number % 7);
    let message = json!({"heartRate": number, "deviceId": device, "patientId": "p1", "endDate": time});
    (device, message)
}

/// A connector whose replicas share the work, with a Secret for their NATS server.
async fn sharing(purpose: &str, token: &str, source: &str) -> Result<Namespace> {
    let namespace = Cluster::connect()?.namespace(purpose).await?;
    let token = format!("--from-literal=token={token}");
    let secret = ["create", "secret", "generic", "broker", &token];
    namespace.kubectl(&secret).await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    let source = format!("  source: {source}\n");
    namespace.apply(&connector("vitals", "clinic", &source)).await?;
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    ensure!(
        namespace.get("pvc/vitals-iot-data").await?.is_none(),
        "no volume is made"
    );
    Ok(namespace)
}

/// Each reading is an Observation, and the replica that was gone comes back and takes its part again.
async fn all_are_there(namespace: Namespace) -> Result<()> {
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    let search = format!("Observation?code=8867-4&_count={}", 2 * READINGS);
    let found = fhir.until_found(&search, u64::from(READINGS)).await?;
    let mut values: Vec<u64> = found["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["resource"]["valueQuantity"]["value"].as_u64())
        .collect();
    values.sort_unstable();
    let expected: Vec<u64> = (0..u64::from(READINGS)).collect();
    ensure!(values == expected, "{values:?}");
    namespace
        .until("iot/vitals", "WorkloadReady", "True", "Running")
        .await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_stream_and_take_over_from_one_that_is_killed() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), "a token")?;
    let jetstream = server.stream("a token").await?;
    let source = format!(
        "{{nats: {{servers: ['{}'], stream: DEVICES, secretName: broker, shared: {{replicas: 2}}}}}}",
        server.address
    );
    let namespace = sharing("shared", "a token", &source).await?;
    for number in 0..READINGS {
        if number == READINGS / 2 {
            let kill = ["delete", "pod", "vitals-iot-1", "--grace-period=0", "--force"];
            namespace.kubectl(&kill).await?;
        }
        let (device, message) = reading(number);
        let subject = format!("devices.{device}");
        jetstream.publish(subject, message.to_string().into()).await?.await?;
    }
    all_are_there(namespace).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_take_http_and_keep_it_in_streams_of_a_server_of_their_own() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), "a token")?;
    let source = format!(
        "{{http: {{shared: {{nats: {{servers: ['{}'], secretName: broker}}}}}}}}",
        server.address
    );
    let namespace = sharing("posted", "a token", &source).await?;
    let halves = [0..READINGS / 2, READINGS / 2..READINGS];
    for (turn, half) in halves.into_iter().enumerate() {
        if turn == 1 {
            // A drain takes one replica at a time.
            eventually("a replica is evicted", || namespace.evict("vitals-iot-1")).await?;
            let Err(refused) = namespace.evict("vitals-iot-0").await else {
                bail!("both replicas are evicted at the same time")
            };
            ensure!(format!("{refused:#}").contains("disruption budget"), "{refused:#}");
        }
        let messages: Value = half.map(|number| reading(number).1).collect();
        eventually("a replica takes the messages", || async {
            let status = send(&namespace, "vitals", &messages).await?;
            ensure!(status == 202, "{status}");
            Ok(())
        })
        .await?;
    }
    all_are_there(namespace).await
}
