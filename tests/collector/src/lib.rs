//! A real OpenTelemetry Collector for tests: it receives OTLP over HTTP and says what it has received.
//!
//! `cargo xtask test` builds its program and names it in `OTEL_COLLECTOR`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long something may take to happen.
const PATIENCE: Duration = Duration::from_mins(2);

/// A collector, ended when dropped.
#[derive(Debug)]
pub struct Collector {
    configuration: PathBuf,
    log: PathBuf,
    /// Base URL that figures are sent to.
    pub endpoint: String,
    child: Option<Child>,
}

/// Certificate chain and key, PEM files.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The chain.
    pub chain: &'a Path,
    /// The key.
    pub key: &'a Path,
}

impl Collector {
    /// Starts one that keeps its files in `folder` and listens on a free port of `host`.
    ///
    /// # Panics
    /// Where the program isn't there or doesn't start: a test that can't run fails.
    pub fn start(folder: &Path, host: &str, certificate: Option<Certificate<'_>>) -> Self {
        let port = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port();
        let tls = certificate.map_or_else(String::new, |Certificate { chain, key }| {
            format!(", tls: {{cert_file: {}, key_file: {}}}", chain.display(), key.display())
        });
        let scheme = if tls.is_empty() { "http" } else { "https" };
        let configuration = folder.join("collector.yaml");
        fs::write(
            &configuration,
            format!(
                "receivers: {{otlp: {{protocols: {{http: {{endpoint: '{host}:{port}'{tls}}}}}}}}}\n\
                 exporters: {{debug: {{verbosity: detailed, use_internal_logger: false}}}}\n\
                 service:\n  \
                   telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}\n  \
                   pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}}}\n"
            ),
        )
        .unwrap();
        let mut collector = Self {
            configuration,
            log: folder.join("collector.log"),
            endpoint: format!("{scheme}://{host}:{port}"),
            child: None,
        };
        collector.start_again();
        collector
    }

    /// Starts it where it isn't running; what it had received is forgotten.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub fn start_again(&mut self) {
        let program = std::env::var_os("OTEL_COLLECTOR")
            .expect("this test needs an OpenTelemetry Collector: `cargo xtask test` builds one and names it in `OTEL_COLLECTOR`");
        let log = File::create(&self.log).unwrap();
        let child = Command::new(program)
            .arg("--config")
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let (_, address) = self.endpoint.split_once("://").unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{}", self.received());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    ///
    /// # Panics
    /// Where it can't be killed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it has received since its start, in the words of its debug exporter.
    ///
    /// # Panics
    /// Where its file can't be read.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// The part of what was received last that is about a metric: its kind, attributes and values, a line each.
    pub fn metric(&self, name: &str) -> Option<String> {
        let received = self.received();
        let (_, metric) = received.rsplit_once(&format!("-> Name: {name}\n"))?;
        let end = metric.find("\nMetric #").unwrap_or(metric.len());
        let end = metric[..end].find("\nResourceMetrics #").unwrap_or(end);
        Some(metric[..end].to_owned())
    }

    /// Waits until a metric has all of some lines.
    ///
    /// # Panics
    /// Where that doesn't come.
    pub async fn until(&self, name: &str, lines: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let metric = self.metric(name);
            if let Some(metric) = metric.filter(|metric| lines.iter().all(|line| metric.contains(line))) {
                return metric;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no `{name}` with {lines:?}: {}",
                self.received()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
