//! The requests that the pipeline makes.

use iot_connector_settings::FhirServer;
use reqwest::Url;
use serde_json::Value;
use thiserror::Error;

use super::{
    FhirError,
    ask::{Ask, Precondition},
    connection::Connection,
    flights::Flights,
};

/// Why a client can't be set up.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The base URL isn't one.
    #[error("`fhirServer.url`: `{url}` isn't an HTTP URL")]
    Url {
        /// As given.
        url: String,
    },
    /// The file with authorities can't be used.
    #[error("option `fhirServer.caFile`")]
    Authorities(#[source] daemon::tls::TlsError),
    /// The issuer of tokens can't be used.
    #[error("option `fhirServer.clientCredentials`")]
    Credentials(#[source] bearer::ConfigurationError),
    /// reqwest can't be set up.
    #[error("no HTTP client for the FHIR server")]
    Client(#[from] reqwest::Error),
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 200 or 201.
    pub status: u16,
    /// The version in the `ETag`, or in the body's `meta`.
    pub version: Option<String>,
    /// The body, `null` when there is none.
    pub body: Value,
}

/// Talks to one FHIR server; requests that come together travel in a bundle (see [`super::flights`]).
pub struct FhirClient {
    base: Url,
    flights: Flights,
}

impl FhirClient {
    /// Sets the client up; nothing is sent. Needs the TLS provider installed.
    pub fn new(settings: &FhirServer) -> Result<Self, ClientError> {
        let connection = Connection::new(settings)?;
        Ok(Self {
            base: connection.base.clone(),
            flights: Flights::new(connection, settings.concurrency as usize),
        })
    }

    /// Reads a resource; `None` when it isn't there or was deleted.
    pub async fn read(&self, kind: &str, id: &str) -> Result<Option<Answer>, FhirError> {
        let (status, answer) = self.flights.send(Ask::get(self.url(&[kind, id], &[]))).await?;
        match status {
            200..=299 if answer.body["resourceType"] == kind => Ok(Some(answer.into_answer(status))),
            200..=299 => Err(FhirError::server(format!(
                "the FHIR server answers a read with something else than a {kind}: is `fhirServer.url` right?"
            ))),
            410 => Ok(None),
            404 if answer.is_outcome() => Ok(None),
            _ => Err(answer.into_error(status)),
        }
    }

    /// Searches a type; gives the resources that match (never those included).
    pub async fn search(&self, kind: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, FhirError> {
        let (status, answer) = self.flights.send(Ask::get(self.url(&[kind], parameters))).await?;
        if !(200..=299).contains(&status) {
            return Err(answer.into_error(status));
        }
        let mut bundle = match answer.body {
            Value::Object(bundle) if bundle.get("resourceType").is_some_and(|of| of == "Bundle") => bundle,
            _ => {
                let reason =
                    "the FHIR server answers a search with something else than a Bundle: is `fhirServer.url` right?";
                return Err(FhirError::server(reason.to_owned()));
            }
        };
        let Some(Value::Array(entries)) = bundle.remove("entry") else {
            return Ok(Vec::new());
        };
        Ok(entries
            .into_iter()
            .filter_map(|mut entry| Some(entry.get_mut("resource")?.take()))
            .filter(|r| r["resourceType"] == kind)
            .collect())
    }

    /// Writes a resource with its own id (PUT).
    pub async fn put(&self, resource: &Value, precondition: Precondition) -> Result<Answer, FhirError> {
        let text = |name| resource[name].as_str().unwrap_or_default();
        let url = self.url(&[text("resourceType"), text("id")], &[]);
        let ask = Ask::put(url, resource.to_string(), precondition);
        let (status, answer) = self.flights.send(ask).await?;
        if (200..=299).contains(&status) {
            Ok(answer.into_answer(status))
        } else {
            Err(answer.into_error(status))
        }
    }

    fn url(&self, path: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }
}
