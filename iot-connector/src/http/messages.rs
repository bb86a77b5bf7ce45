//! `POST /messages`: 202 only when every message of the request is on disk.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use daemon::Peer;
use iot_connector_settings::{DeadLetters, MESSAGES_PATH};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::refusal;
use crate::{
    ingest::{
        body::{self, BodyError, BodyLimits},
        context,
        keys::KeyError,
        senders::{SenderError, Senders},
    },
    metrics::{ConnectorMetrics, ErrorLabels},
    spool::{Appended, Ids, NewMessage, RequestKey, SpoolError},
    status::SharedReport,
    store::Store,
};

/// Compressed or not, a request body has at most so many bytes.
const MAX_REQUEST: usize = 64 << 20;
/// Above this size a body is taken apart beside the event loop.
const LARGE: usize = 64 << 10;
/// Seconds that a device is asked to wait when the queue is full.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// A sender that repeats a request with the same key gets the first answer, and nothing is stored twice.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Bytes of such a key, at most.
const MAX_KEY: usize = 255;

/// What ingest works with.
pub struct Ingest {
    /// Who may send.
    pub senders: Senders,
    /// Where messages go.
    pub store: Store,
    /// Bytes that may wait.
    pub max_bytes: u64,
    /// Dead letters that may be kept.
    pub dead_letters: DeadLetters,
    /// Counts.
    pub metrics: ConnectorMetrics,
    /// Rate.
    pub report: SharedReport,
}

/// Why no message is taken at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Full {
    /// Of messages that wait: it will pass.
    Queue(String),
    /// Of dead letters: somebody has to look at them.
    DeadLetters(String),
    /// The mappings are missing, and messages can't be told apart without them.
    Mappings(String),
    /// Nowhere to put them, for now.
    NotReady(String),
}

impl Full {
    /// For people.
    pub fn reason(self) -> String {
        match self {
            Self::Queue(reason) | Self::DeadLetters(reason) | Self::Mappings(reason) | Self::NotReady(reason) => reason,
        }
    }
}

impl Ingest {
    /// Whether messages are taken now. Blocks on the spool's file where dead letters are bounded by age.
    pub fn full(&self) -> Option<Full> {
        match self.store.not_ready() {
            None => {}
            Some(error @ SpoolError::NoMappings) => return Some(Full::Mappings(error.to_string())),
            Some(error) => return Some(Full::NotReady(error.to_string())),
        }
        let figures = self.store.figures();
        let bounds = &self.dead_letters;
        let advice = "list them at `/dead-letters` on the management port, then replay or discard them";
        if figures.dead_letters() >= bounds.max_count {
            return Some(Full::DeadLetters(format!(
                "{} dead letters are kept, the most allowed: {advice}",
                bounds.max_count
            )));
        }
        if figures.dead_bytes() >= bounds.max_bytes {
            return Some(Full::DeadLetters(format!(
                "dead letters take {} bytes, the most allowed: {advice}",
                bounds.max_bytes
            )));
        }
        if let Some(days) = bounds.max_days
            && figures.dead_letters() > 0
            && let Ok(Some(oldest)) = self.store.oldest_dead_letter()
            && Timestamp::now().as_microsecond() - oldest > i64::from(days) * 86_400_000_000
        {
            return Some(Full::DeadLetters(format!(
                "the oldest dead letter is older than {days} days: {advice}"
            )));
        }
        if figures.bytes() >= self.max_bytes {
            return Some(Full::Queue(format!(
                "the queue is full ({} messages wait, {} bytes are the most): send it again later",
                figures.messages(),
                self.max_bytes
            )));
        }
        None
    }

    fn count_refusal(&self, reason: &str) {
        let labels = ErrorLabels {
            stage: "ingest".to_owned(),
            reason: reason.to_owned(),
        };
        self.metrics.refused.get_or_create(&labels).inc();
    }
}

/// The device port's routes.
pub fn routes(ingest: Arc<Ingest>) -> Router {
    Router::new()
        .route(MESSAGES_PATH, post(accept).fallback(not_allowed))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(ingest)
}

async fn accept(
    State(ingest): State<Arc<Ingest>>,
    peer: Option<Extension<Peer>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let now = Timestamp::now();
    // Who sends comes first: a stranger's body is not even read.
    let sender = match ingest.senders.check(&headers, now).await {
        Ok(sender) => sender,
        Err(error) => {
            ingest.count_refusal(refused_sender(&error));
            if !matches!(error, SenderError::Missing | SenderError::Key(KeyError::Missing)) {
                warn!(peer = ?peer.map(|peer| peer.0.0), %error, "a device isn't let in");
            }
            return unauthorized(&error);
        }
    };
    if let Some(full) = ingest.full() {
        return refuse_full(&ingest, full);
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => {
            ingest.count_refusal("body");
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, BodyError::TooLarge(MAX_REQUEST));
            }
            return refusal(rejection.status(), rejection.body_text());
        }
    };
    let key = match request_key(&headers, &uri, &sender.id, &body) {
        Ok(key) => key,
        Err(response) => return *response,
    };
    let split = move || {
        let limits = BodyLimits::default();
        let plain = body::decompress(body, encoding.as_deref(), &limits)?;
        body::messages(&plain, content_type.as_deref(), &limits)
    };
    let messages = if content_length(&headers) > LARGE || headers.contains_key(header::CONTENT_ENCODING) {
        match tokio::task::spawn_blocking(split).await {
            Ok(messages) => messages,
            Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    } else {
        split()
    };
    let messages = match messages {
        Ok(messages) => messages,
        Err(error) => {
            ingest.count_refusal("body");
            return refusal(status_of(&error), daemon::process::describe(&error));
        }
    };
    let context: Arc<str> = context::of_request(&method, &uri, &headers, sender.device.as_deref(), now).into();
    let count = messages.len();
    let messages = messages
        .into_iter()
        .map(|body| NewMessage {
            body,
            context: context.clone(),
        })
        .collect();
    let received = now.as_microsecond();
    let appended = match key {
        Some(key) => ingest.store.append_once(key, messages, received).await,
        None => ingest.store.append(messages, received).await,
    };
    match appended {
        Ok(Appended::Stored { ids, .. }) => {
            ingest.metrics.device_event.inc_by(count as u64);
            ingest.report.accepted(count);
            accepted(count as u64, ids)
        }
        Ok(Appended::Before { count, ids }) => {
            ingest.metrics.repeated("http", count);
            accepted(count, ids)
        }
        Ok(Appended::OtherRequest) => {
            ingest.count_refusal("key_of_another_request");
            let text = format!(
                "the `{IDEMPOTENCY_KEY}` was used for a request with another body: use a key for one request only"
            );
            refusal(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
        Err(error) => {
            ingest.count_refusal("disk");
            refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, daemon::process::describe(&error))
        }
    }
}

fn accepted(count: u64, ids: Option<Ids>) -> Response {
    let mut answer = json!({"accepted": count});
    if let Some(Ids { first, last }) = ids {
        answer["ids"] = json!({"first": first, "last": last});
    }
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// The key that the sender gave this request, if any. Senders with different credentials don't share theirs.
fn request_key(headers: &HeaderMap, uri: &Uri, sender: &str, body: &[u8]) -> Result<Option<RequestKey>, Box<Response>> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > MAX_KEY {
        let text = format!("`{IDEMPOTENCY_KEY}` has 1 to {MAX_KEY} bytes");
        return Err(Box::new(refusal(StatusCode::BAD_REQUEST, text)));
    }
    let id = Sha256::new()
        .chain_update(sender)
        .chain_update([0])
        .chain_update(key.as_bytes());
    Ok(Some(RequestKey {
        id: id.finalize().to_vec(),
        digest: digest(headers, uri, body),
    }))
}

/// Of all that the sender says: the body, and what stands beside it, the device above all.
fn digest(headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new().chain_update(body);
    for part in context::beside(uri, headers) {
        digest = digest.chain_update([0]).chain_update(part);
    }
    digest.finalize().to_vec()
}

async fn not_allowed() -> Response {
    let text = format!("devices send with `POST {MESSAGES_PATH}`");
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, text);
    let allowed = HeaderValue::from_static("POST");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn content_length(headers: &HeaderMap) -> usize {
    // Without a length (chunked) it may be long.
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(usize::MAX)
}

fn status_of(error: &BodyError) -> StatusCode {
    match error {
        BodyError::Empty | BodyError::Compressed(_) => StatusCode::BAD_REQUEST,
        BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        BodyError::TooLarge(_) | BodyError::TooMany(_) | BodyError::MessageTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

fn refused_sender(error: &SenderError) -> &'static str {
    match error {
        SenderError::Missing | SenderError::Key(_) => "key",
        SenderError::Token(_) => "token",
    }
}

fn unauthorized(error: &SenderError) -> Response {
    if error.is_temporary() {
        return refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    }
    let mut response = refusal(StatusCode::UNAUTHORIZED, error);
    let challenge = HeaderValue::from_str(&error.challenge()).unwrap_or(HeaderValue::from_static("Bearer"));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn refuse_full(ingest: &Ingest, full: Full) -> Response {
    let (status, name) = match full {
        Full::Queue(_) => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
        Full::DeadLetters(_) => (StatusCode::INSUFFICIENT_STORAGE, "dead_letters_full"),
        Full::Mappings(_) | Full::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    ingest.count_refusal(name);
    refuse_for_now(status, full.reason())
}

fn refuse_for_now(status: StatusCode, reason: String) -> Response {
    let mut response = refusal(status, reason);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}
