//! A NATS server with the stream that devices publish into.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::{self, Context};

use crate::programs::{Program, Ready, free};

/// The stream.
pub const STREAM: &str = "DEVICES";
/// What messages are published as.
const SUBJECT: &str = "devices.readings";

/// A server that keeps its streams in a folder, and its address.
pub async fn start(program: &Path, folder: &Path) -> Result<(Program, String)> {
    let (listen, monitor) = (free()?, free()?);
    let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let store = folder.join("streams").to_string_lossy().into_owned();
    let arguments = [
        "--addr",
        "127.0.0.1",
        "--port",
        &port(&listen),
        "--http_port",
        &port(&monitor),
        "--jetstream",
        "--store_dir",
        &store,
    ];
    let server = Program::start(
        program.to_owned(),
        arguments.map(str::to_owned).to_vec(),
        Ready::Page(format!("http://{monitor}/healthz")),
        folder.join("nats-server.log"),
    )
    .await?;
    let address = format!("nats://{listen}");
    let config = jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        ..jetstream::stream::Config::default()
    };
    connect(&address).await?.create_stream(config).await?;
    Ok((server, address))
}

/// A connection of devices.
pub async fn connect(address: &str) -> Result<Context> {
    let mut context = jetstream::new(async_nats::connect(address).await?);
    context.set_timeout(Duration::from_secs(5));
    Ok(context)
}

/// Returns when the stream has all.
pub async fn publish(stream: &Context, messages: &[String]) -> Result<()> {
    let mut answers = Vec::with_capacity(messages.len());
    for message in messages {
        answers.push(stream.publish(SUBJECT, message.clone().into()).await?);
    }
    for answer in answers {
        answer.await.map_err(|error| anyhow!("not stored: {error}"))?;
    }
    Ok(())
}

/// The program that the environment names.
pub fn program() -> Result<std::path::PathBuf> {
    let named = std::env::var_os("NATS_SERVER");
    named
        .map(Into::into)
        .context("NATS_SERVER names the NATS server's program")
}
