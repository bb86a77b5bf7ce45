//! Sends the figures again and again.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daemon::files::LOOK_INTERVAL;
use daemon::process::describe;
use daemon::tls::TlsError;
use daemon::{Metrics, Shutdown};
use daemon_settings::Otlp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, StatusCode};
use thiserror::Error;
use tracing::{info, warn};

use crate::convert::{Moment, Service, request};
use crate::options::Source;

/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last sending may take, so that it is done within a shutdown.
const LAST: Duration = Duration::from_secs(3);
/// What is read of a collector's answer, at most.
const ANSWER: usize = 64 << 10;

/// Why a sending failed.
#[derive(Debug, Error)]
enum SendError {
    #[error("`{path}` can't be read")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the authorities to trust")]
    Authorities(#[from] TlsError),
    #[error("line {line} of `{path}` isn't `Name: value`")]
    Header { path: PathBuf, line: usize },
    #[error("the figures can't be read")]
    Figures(#[from] std::fmt::Error),
    #[error("the collector doesn't answer")]
    Transport(#[source] reqwest::Error),
    #[error("the collector answers {status}: {text}")]
    Answer { status: StatusCode, text: String },
    #[error("the collector refused {count} figures: {text}")]
    Partly { count: i64, text: String },
}

/// One process's figures on their way to a collector.
pub struct Sender {
    metrics: Arc<Metrics>,
    source: Source,
    service: Service,
    begun: SystemTime,
    /// With the certificates that it trusts.
    client: Option<(Option<Vec<u8>>, Client)>,
    /// Whether the last sending came through; nothing was sent yet.
    arrives: Option<bool>,
}

impl Sender {
    pub fn new(metrics: Arc<Metrics>, source: Source, service: Service, begun: SystemTime) -> Self {
        Self {
            metrics,
            source,
            service,
            begun,
            client: None,
            arrives: None,
        }
    }

    /// Sends until the process ends, and a last time then.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut last: Option<Instant> = None;
        loop {
            let options = self.source.current().clone();
            let interval = Duration::from_secs(u64::from(options.interval_seconds));
            if last.is_none_or(|last| last.elapsed() >= interval) && options.endpoint.is_some() {
                last = Some(Instant::now());
                self.tell(&options, TIMEOUT).await;
            }
            let since = last.filter(|_| options.endpoint.is_some()).map(|last| last.elapsed());
            tokio::select! {
                () = tokio::time::sleep(pause(interval, since)) => {}
                () = shutdown.requested() => break,
            }
        }
        let options = self.source.current().clone();
        if options.endpoint.is_some() {
            self.tell(&options, LAST).await;
        }
        Ok(())
    }

    /// Sends, and says when that begins to fail or to work.
    async fn tell(&mut self, options: &Otlp, timeout: Duration) {
        let endpoint = options.endpoint.as_deref().unwrap_or_default();
        match self.send(options, timeout).await {
            Ok(()) if self.arrives != Some(true) => {
                info!(endpoint, "figures arrive at the collector");
                self.arrives = Some(true);
            }
            Err(error) if self.arrives != Some(false) => {
                warn!(
                    endpoint,
                    "figures don't arrive, they are sent again: {}",
                    describe(&error)
                );
                self.arrives = Some(false);
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn send(&mut self, options: &Otlp, timeout: Duration) -> Result<(), SendError> {
        let Some(url) = options.metrics_url() else {
            return Ok(());
        };
        let moment = Moment {
            begun: self.begun,
            now: SystemTime::now(),
        };
        let body = request(self.metrics.families()?, &self.service, &options.attributes, moment).encode_to_vec();
        let headers = options.headers_file.as_deref().map(headers).transpose()?;
        let client = self.client(options.ca_file.as_deref())?;
        let sending = client
            .post(url)
            .timeout(timeout)
            .headers(headers.unwrap_or_default())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body);
        let failed = |error: reqwest::Error| SendError::Transport(error.without_url());
        let answer = sending.send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            return Err(SendError::Answer { status, text });
        }
        let answer = ExportMetricsServiceResponse::decode(&body[..body.len().min(ANSWER)]).unwrap_or_default();
        match answer.partial_success {
            Some(partial) if partial.rejected_data_points > 0 => Err(SendError::Partly {
                count: partial.rejected_data_points,
                text: partial.error_message,
            }),
            _ => Ok(()),
        }
    }

    /// The client, made anew when its certificates differ.
    fn client(&mut self, authorities: Option<&Path>) -> Result<&Client, SendError> {
        let pem = authorities.map(daemon::tls::authorities).transpose()?;
        let stale = self.client.as_ref().is_none_or(|(trusted, _)| *trusted != pem);
        if stale {
            let mut builder = Client::builder()
                .user_agent(format!("{}/{}", self.service.name, self.service.version))
                // The headers are for this collector and no other.
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(1);
            if let Some(pem) = &pem {
                builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem).map_err(SendError::Transport)?);
            }
            self.client = Some((pem, builder.build().map_err(SendError::Transport)?));
        }
        Ok(&self.client.as_ref().expect("it was made").1)
    }
}

/// Until the options are looked at again, or figures are due, which were sent so long ago; `None`: none are sent.
fn pause(interval: Duration, since: Option<Duration>) -> Duration {
    since.map_or(LOOK_INTERVAL, |since| interval.saturating_sub(since).min(LOOK_INTERVAL))
}

/// `Name: value` on each line.
fn headers(path: &Path) -> Result<HeaderMap, SendError> {
    let text = std::fs::read_to_string(path).map_err(|source| SendError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let (name, value) = header.ok_or_else(|| SendError::Header {
            path: path.to_owned(),
            line: index + 1,
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_looks_at_the_options_without_a_pause() {
        let seconds = Duration::from_secs;
        assert_eq!(
            pause(seconds(60), None),
            LOOK_INTERVAL,
            "there is no collector any more"
        );
        assert_eq!(pause(seconds(60), Some(seconds(3))), LOOK_INTERVAL);
        assert_eq!(pause(seconds(60), Some(seconds(59))), seconds(1));
        assert_eq!(pause(seconds(60), Some(seconds(70))), seconds(0), "figures are due");
    }
}
