//! A server for one test.

use std::path::Path;

use fhir_server_settings::{Access, FhirVersion, Settings};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use test_postgres::PostgresServer;

/// Names the engine of every service that doesn't name its own database: `postgres`, or absent for SQLite.
const ENGINE: &str = "HTTP_TESTS_ON";

/// A running server; its data goes with it.
pub struct Service {
    pub base: String,
    pub management: Option<String>,
    pub client: Client,
    shutdown: daemon::supervisor::Shutdown,
    task: tokio::task::JoinHandle<Result<(), daemon::supervisor::ProcessError>>,
    folder: Option<TempDir>,
}

/// What was answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What was answered, as bytes.
pub struct RawAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl RawAnswer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

impl Answer {
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

impl Service {
    /// Open to everyone.
    pub async fn anonymous(version: FhirVersion) -> Self {
        Self::with(version, None).await
    }

    /// Open to nobody.
    pub async fn closed(version: FhirVersion) -> Self {
        Self::with(version, Some(Access::default())).await
    }

    /// Open to whom these grants name.
    pub async fn with_access(version: FhirVersion, access: Access) -> Self {
        Self::with(version, Some(access)).await
    }

    /// Open to whom the grants in this file name.
    pub async fn with_access_file(version: FhirVersion, file: &Path) -> Self {
        Self::start(Settings {
            fhir_version: Some(version),
            access_file: Some(file.to_owned()),
            ..Settings::default()
        })
        .await
    }

    /// Open to everyone, on this PostgreSQL, or on a SQLite of its own where that is empty.
    pub async fn of(version: FhirVersion, postgres: &str) -> Self {
        if postgres.is_empty() {
            return Self::anonymous(version).await;
        }
        Self::on(Settings {
            fhir_version: Some(version),
            anonymous: true,
            database: postgres.to_owned(),
            ..Settings::default()
        })
        .await
    }

    async fn with(version: FhirVersion, access: Option<Access>) -> Self {
        Self::start(Settings {
            fhir_version: Some(version),
            anonymous: access.is_none(),
            access,
            ..Settings::default()
        })
        .await
    }

    /// With these settings, on a database and a port of its own.
    pub async fn start(settings: Settings) -> Self {
        let folder = TempDir::new().expect("folder");
        let database = match std::env::var(ENGINE).as_deref() {
            Ok("postgres") => PostgresServer::shared().database(),
            Ok(other) => panic!("{ENGINE} is `{other}`, not `postgres`"),
            Err(_) => format!("sqlite:{}", folder.path().join("fhir.db").display()),
        };
        let mut service = Self::on(Settings { database, ..settings }).await;
        service.folder = Some(folder);
        service
    }

    /// With these settings, on their database and a port of its own.
    pub async fn on(settings: Settings) -> Self {
        daemon::tls::install_provider();
        let settings = Settings {
            listen: "127.0.0.1:0".to_owned(),
            ..settings
        };
        let running = fhir_server::start(settings).await.expect("start");
        let (address, shutdown) = (running.address, running.shutdown());
        let management = running.management.map(|address| format!("http://{address}"));
        let task = tokio::spawn(running.run());
        Self {
            base: format!("http://{address}"),
            management,
            client: Client::new(),
            shutdown,
            task,
            folder: None,
        }
    }

    /// Ends it, and waits until it has.
    pub async fn close(mut self) {
        self.shutdown.request();
        (&mut self.task).await.expect("no panic").expect("a good end");
    }

    /// One request; `body` as FHIR JSON.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let body = body.map(|body| body.as_bytes().to_vec());
        let answer = self.exchange(method, path, headers, body).await;
        let body = if answer.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&answer.body).expect("JSON")
        };
        Answer {
            status: answer.status,
            headers: answer.headers,
            body,
        }
    }

    /// One request whose answer may be anything.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> RawAnswer {
        let mut request = self.client.request(method, format!("{}/{path}", self.base));
        if let Some(body) = body {
            request = request.body(body);
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                request = request.header("content-type", "application/fhir+json");
            }
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("name");
            request = request.header(name, HeaderValue::from_str(value).expect("value"));
        }
        let response = request.send().await.expect("answer");
        RawAnswer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.expect("body").to_vec(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}
