//! The status pages of what runs, asked on the management port, and whether a pod's FHIR port answers somebody who
//! should be kept out. An answer that doesn't come changes nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fhir_operator_core::fhir_service::PolicyProbe;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use iot_connector_settings::{FhirState, SourceState, StatusPage};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A page is asked for again after that time. It is also the shortest time between two writes of the figures in it.
pub const FRESH: Duration = Duration::from_mins(1);

/// A probe that got through is repeated after that time.
pub const REPEAT: Duration = Duration::from_secs(5);

/// How long a connection may take that isn't expected to be made.
const PROBE_PATIENCE: Duration = Duration::from_millis(800);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most bytes that a status page has.
const MOST: usize = 64 * 1024;

/// What was heard from pods, by uid of the pod.
#[derive(Debug)]
pub struct Heard<T> {
    answers: Mutex<HashMap<String, (Instant, Option<T>)>>,
}

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
        }
    }
}

impl<T: Clone> Heard<T> {
    /// The last answer of that pod, asked anew where it is older than `fresh` says. Where no new answer comes, the last
    /// one stays.
    pub async fn ask(
        &self,
        pod: &str,
        fresh: fn(&Option<T>) -> Duration,
        question: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        if let Some((at, answer)) = self.lock().get(pod)
            && at.elapsed() < fresh(answer)
        {
            return answer.clone();
        }
        let answer = question.await;
        let mut answers = self.lock();
        // Pods that nobody asked about for long are gone.
        answers.retain(|_, (at, _)| at.elapsed() < 10 * FRESH);
        let last = answers.get(pod).and_then(|(_, last)| last.clone());
        let answer = answer.or(last);
        answers.insert(pod.to_owned(), (Instant::now(), answer.clone()));
        answer
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Option<T>)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a status page is good for; one that didn't come is asked for again sooner.
pub fn page_is_fresh<T>(answer: &Option<T>) -> Duration {
    if answer.is_some() {
        FRESH
    } else {
        Duration::from_secs(5)
    }
}

/// The same of a connector, which is asked again soon while its source isn't connected.
pub fn connector_page_is_fresh(answer: &Option<StatusPage>) -> Duration {
    let source = answer.as_ref().and_then(|page| page.source.as_ref());
    if source.is_some_and(|source| source.state == SourceState::Connecting) {
        REPEAT
    } else {
        page_is_fresh(answer)
    }
}

/// The pages of two replicas that share the work, as one: what waits is told by each for all, what comes in by each for
/// itself, and what one of them can't read, take or write is what people have to see.
pub fn together(one: StatusPage, other: StatusPage) -> StatusPage {
    let is_connected = |page: &StatusPage| {
        page.source
            .as_ref()
            .is_none_or(|source| source.state != SourceState::Connecting)
    };
    let rate = one.rate + other.rate;
    let (shown, beside) = if is_connected(&one) { (other, one) } else { (one, other) };
    let (fhir, fhir_message) = if beside.fhir == FhirState::Waiting {
        (beside.fhir, beside.fhir_message)
    } else {
        (shown.fhir, shown.fhir_message)
    };
    StatusPage {
        rate,
        // RFC 3339 in UTC and whole seconds sorts by time.
        watermark: [shown.watermark, beside.watermark].into_iter().flatten().min(),
        fhir,
        fhir_message,
        ingest_refused: shown.ingest_refused.or(beside.ingest_refused),
        ..shown
    }
}

/// How long a probe is good for: a policy takes a moment to be in force, so one that got through is repeated soon.
pub fn probe_is_fresh(answer: &Option<PolicyProbe>) -> Duration {
    if *answer == Some(PolicyProbe::Blocked) {
        FRESH
    } else {
        REPEAT
    }
}

/// Reads `http://IP:PORT/status`.
pub async fn status_page<T: DeserializeOwned>(ip: IpAddr, port: u16) -> Option<T> {
    let body = tokio::time::timeout(PATIENCE, get(ip, port)).await;
    match body {
        Ok(Ok(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::debug!(%ip, port, %error, "the status page isn't understood");
                None
            }
        },
        Ok(Err(error)) => {
            tracing::debug!(%ip, port, %error, "the status page didn't come");
            None
        }
        Err(_) => None,
    }
}

/// Tries a TCP connection to a port that should be closed to us.
pub async fn probe(host: &str, port: u16) -> PolicyProbe {
    match tokio::time::timeout(PROBE_PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => PolicyProbe::Connected,
        Ok(Err(_)) | Err(_) => PolicyProbe::Blocked,
    }
}

async fn get(ip: IpAddr, port: u16) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((ip, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get("/status")
        .header(hyper::header::HOST, format!("{ip}:{port}"))
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()).into());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            Limited::new(response.into_body(), MOST).collect().await?.to_bytes(),
        )
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_page_is_kept_for_a_minute_and_outlives_a_silence() {
        let heard = Heard::default();
        assert_eq!(heard.ask("pod", page_is_fresh, async { Some(1) }).await, Some(1));
        assert_eq!(heard.ask("pod", page_is_fresh, async { Some(2) }).await, Some(1));
        tokio::time::advance(FRESH).await;
        assert_eq!(heard.ask("pod", page_is_fresh, async { None }).await, Some(1));
        tokio::time::advance(FRESH).await;
        assert_eq!(heard.ask("pod", page_is_fresh, async { Some(3) }).await, Some(3));
    }

    #[test]
    fn what_one_replica_suffers_from_is_told_of_all() {
        let page = |more: &str| -> StatusPage {
            let text = format!(
                r#"{{"version": "1.2.3", "rate": 2, "backlog": 3, "deadLetters": 0, "mappings": "Valid", {more}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let well = page(r#""fhir": "Reachable", "watermark": "2026-01-01T00:00:09Z""#);
        let ill = page(
            r#""fhir": "Waiting", "fhirMessage": "403", "watermark": "2026-01-01T00:00:01Z", "ingestRefused": "full""#,
        );
        let both = StatusPage {
            rate: 4.0,
            ..ill.clone()
        };
        assert_eq!(together(well.clone(), ill.clone()), both);
        assert_eq!(together(ill, well), both);
    }

    #[tokio::test]
    async fn reads_a_page() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/status", axum::routing::get(async || r#"{"version": "1.2.3"}"#));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let page: Option<serde_json::Value> = status_page(address.ip(), address.port()).await;
        assert_eq!(page.unwrap()["version"], "1.2.3");
        assert_eq!(probe("127.0.0.1", address.port()).await, PolicyProbe::Connected);
        server.abort();
    }
}
