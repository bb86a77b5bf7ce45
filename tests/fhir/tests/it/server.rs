//! A server for one test.

use fhir_server_settings::{FhirVersion, Limits, Settings};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// A running server on a database and a port of its own.
pub struct Server {
    pub base: String,
    client: Client,
    shutdown: daemon::supervisor::Shutdown,
    _folder: TempDir,
}

impl Server {
    /// Open to everyone, with pages of up to 1,000.
    pub async fn start(version: FhirVersion) -> Self {
        daemon::tls::install_provider();
        let folder = TempDir::new().expect("a folder");
        let running = fhir_server::start(Settings {
            fhir_version: Some(version),
            database: format!("sqlite:{}", folder.path().join("fhir.db").display()),
            listen: "127.0.0.1:0".to_owned(),
            anonymous: true,
            limits: Limits {
                count: Some(1_000),
                ..Limits::default()
            },
            ..Settings::default()
        })
        .await
        .expect("the server starts");
        let (base, shutdown) = (format!("http://{}", running.address), running.shutdown());
        tokio::spawn(running.run());
        Self {
            base,
            client: Client::new(),
            shutdown,
            _folder: folder,
        }
    }

    /// Status and body of one request.
    pub async fn send(&self, method: Method, path: &str, body: Option<&str>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/fhir+json")
                .body(body.to_owned());
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// The body of a successful GET.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}
