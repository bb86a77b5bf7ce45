//! `kubectl port-forward` to a Service, ended when dropped: the way that works with every cluster.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};

use crate::cluster::Access;

/// An open way to a Service's port.
pub struct Forward {
    /// The port of this machine.
    pub port: u16,
    child: Child,
}

impl Forward {
    /// Opens a way to port 80 of a Service.
    pub fn open(access: &Access, namespace: &str, service: &str) -> Result<Self> {
        let service = format!("service/{service}");
        let mut child = access
            .kubectl(&["--namespace", namespace, "port-forward", &service, ":80"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start `kubectl port-forward`")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output);
            output.read_line(&mut line)?;
            // kubectl writes a line for each connection, and would wait when nobody reads them
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        }
        let port = line
            .strip_prefix("Forwarding from 127.0.0.1:")
            .and_then(|rest| rest.split(' ').next());
        match port.and_then(|port| port.parse().ok()) {
            Some(port) => Ok(Self { port, child }),
            None => {
                let mut said = line;
                end(&mut child);
                if let Some(mut errors) = child.stderr.take() {
                    errors.read_to_string(&mut said)?;
                }
                bail!("`kubectl port-forward {service}`: {}", said.trim());
            }
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Errors only say that it has ended by itself.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
