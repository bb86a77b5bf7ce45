//! `kubectl port-forward` to a Service, ended when dropped.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::Namespace;

/// An open way to a Service's port.
#[derive(Debug)]
pub struct Forward {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    _child: Child,
}

impl Forward {
    /// Opens a way to `service`'s `port`.
    pub async fn open(namespace: &Namespace, service: &str, port: &str) -> Result<Self> {
        let mut child = Command::new("kubectl")
            .args([
                "-n",
                &namespace.name,
                "port-forward",
                &format!("service/{service}"),
                &format!(":{port}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl port-forward")?;
        let output = child.stdout.take().context("kubectl has no output")?;
        let mut lines = BufReader::new(output).lines();
        let Some(line) = lines.next_line().await? else {
            bail!("kubectl port-forward to `{service}` ended at once")
        };
        let port = line
            .strip_prefix("Forwarding from 127.0.0.1:")
            .and_then(|rest| rest.split_whitespace().next())
            .with_context(|| format!("unexpected output of kubectl port-forward: {line}"))?;
        let url = format!("http://127.0.0.1:{port}");
        // kubectl writes a line for each connection: a full pipe would stop it
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { url, _child: child })
    }
}
