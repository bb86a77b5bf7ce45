//! HTTP in, HTTP out: limits, formats, headers; what is asked goes to `interactions` as a [`call::Call`].

mod body;
pub mod call;
pub mod cors;
pub mod failure;
pub mod json;
pub mod negotiation;
pub mod openapi;
pub mod operation;
pub mod place;
pub mod reply;
mod response;
pub mod route;
pub mod routes;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::Router;
use daemon::listener::Peer;
use fhir_resource::Document;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::compression::predicate::SizeAbove;
use tower_http::compression::{CompressionLayer, CompressionLevel};
use uuid::Uuid;

use self::body::Room;
use self::call::{Call, Conditions, Pairs};
use self::failure::{Failure, Result};
use self::negotiation::{Prefer, Wanted};
use self::reply::Reply;
use self::route::Interaction;
use crate::access::{Principal, Scopes};
use crate::audit::{Custom, Record};
use crate::server::Server;
use crate::writes;
use crate::{interactions, operations};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const PROVENANCE: HeaderName = HeaderName::from_static("x-provenance");

/// Answers that are shorter go as they are, whatever the client accepts.
const COMPRESSED_FROM: u64 = 1024;

/// The FHIR API as a router.
pub fn router(server: Arc<Server>) -> Router {
    let large = SizeAbove::new(COMPRESSED_FROM);
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(large);
    Router::new().fallback(serve).with_state(server).layer(compression)
}

/// What is known of a request by the time that it is answered.
struct Known {
    interaction: &'static str,
    resource_type: Option<&'static str>,
    wanted: Wanted,
    principal: Option<Arc<Principal>>,
    room: Room,
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (started, at) = (Instant::now(), SystemTime::now());
    let correlation = request.headers().get(&REQUEST_ID);
    let correlation = correlation.or_else(|| request.headers().get(&CORRELATION_ID)).cloned();
    let query = request.uri().query().map(call::pairs).unwrap_or_default();
    let wanted = Wanted::of(request.headers(), &query);
    let mut known = Known {
        interaction: "none",
        resource_type: None,
        principal: None,
        room: Room::default(),
        wanted: wanted.as_ref().copied().unwrap_or_default(),
    };
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let crossing = server
        .cors
        .as_ref()
        .map(|policy| policy.headers(&method, request.headers()));
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let (custom, refused) = match Custom::of(request.headers()) {
        Ok(custom) => (custom, None),
        Err(failure) => (Custom::default(), Some(failure)),
    };
    let answered = match refused {
        None => admitted(&server, request, query, wanted, &mut known).await,
        Some(failure) => Err(failure),
    };
    let mut response = response::of(&server, answered, known.wanted).await;
    server
        .metrics
        .answered(known.interaction, response.status(), started.elapsed());
    let mut request_id = Uuid::encode_buffer();
    let request_id: &str = Uuid::new_v4().hyphenated().encode_lower(&mut request_id);
    if let Some(audit) = &server.audit {
        let record = Record {
            at,
            took: started.elapsed(),
            identity: known.principal.as_ref().and_then(|principal| principal.identity()),
            peer,
            request_id,
            correlation_id: correlation.as_ref().and_then(|id| id.to_str().ok()),
            operation: known.interaction,
            resource_type: known.resource_type,
            method: &method,
            uri: &uri,
            status: response.status(),
            custom: &custom,
        };
        audit.write(record.line()).await;
    }
    let headers = response.headers_mut();
    // what is answered is for the caller alone, and what it is called
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if known.principal.is_some() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.extend(crossing.into_iter().flatten());
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(correlation) = correlation {
        headers.insert(CORRELATION_ID, correlation);
    }
    response
}

/// One of a bounded number of requests at a time, each for a bounded time.
async fn admitted(
    server: &Arc<Server>,
    request: Request,
    query: Pairs,
    wanted: Result<Wanted>,
    known: &mut Known,
) -> Result<Reply> {
    let Some(_permit) = server.admit() else {
        return Err(Failure::throttled());
    };
    let limit = Duration::from_secs(u64::from(server.limits.request_seconds()));
    // pinned here, since a future that is moved has its room twice
    let answer = pin!(answer(server, request, query, wanted, known));
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(Failure::too_costly()))
}

async fn answer(
    server: &Arc<Server>,
    request: Request,
    query: Pairs,
    wanted: Result<Wanted>,
    known: &mut Known,
) -> Result<Reply> {
    let (parts, mut body) = request.into_parts();
    let awaits_consent = parts.headers.contains_key(header::EXPECT);
    let answered = of_parts(server, parts, &mut body, query, wanted, known).await;
    if answered.is_err() && !awaits_consent {
        body::drain(&mut body).await;
    }
    answered
}

async fn of_parts(
    server: &Arc<Server>,
    parts: Parts,
    body: &mut Body,
    mut query: Pairs,
    wanted: Result<Wanted>,
    known: &mut Known,
) -> Result<Reply> {
    let path = call::segments(parts.uri.path());
    let is_form = parts.method == Method::POST && path.last().is_some_and(|last| last == "_search");
    if !is_form {
        wanted?;
    }
    if parts.method == Method::OPTIONS {
        known.interaction = "options";
        return options(server, &parts.headers, &path);
    }
    let interaction = Interaction::of(&parts.method, &path, server.definitions)?;
    known.interaction = interaction.code();
    known.resource_type = interaction.resource_type();
    let principal = if interaction.is_open() {
        Principal::nobody()
    } else {
        let scopes = |claims: &_| Scopes::of(claims, server.version, &server.parser);
        let authorization = parts.headers.get(header::AUTHORIZATION);
        let principal = server.access.authenticate(authorization, scopes).await?;
        known.principal = Some(Arc::clone(&principal));
        principal
    };
    let document = if is_form {
        query.extend(body::form(server, &parts.headers, body, &mut known.room).await?);
        // the fields may say what the answer shall look like, too
        known.wanted = Wanted::of(&parts.headers, &query)?;
        None
    } else {
        match body::document(server, &interaction, &parts.headers, body, &mut known.room).await {
            // What can't be read is what `$validate` is there to tell.
            Err(failure) if interaction.code() == "validate" && failure.status == StatusCode::BAD_REQUEST => {
                return Ok(operations::validate::unreadable(&failure));
            }
            document => document?,
        }
    };
    let provenance = parts.headers.get(&PROVENANCE).map(|value| {
        let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        writes::provenance::parse(text)
    });
    let provenance = provenance.transpose()?;
    let call = Call {
        method: parts.method,
        path,
        query,
        conditions: Conditions::of(&parts.headers),
        prefer: Prefer::of(&parts.headers)?,
        wanted: known.wanted,
        base: server.base(&parts.headers),
        principal,
        resource: document.as_ref().map(Document::root),
        provenance: provenance.as_ref(),
    };
    let answered = interactions::perform(server, &interaction, &call).await;
    answered.map_err(|failure| match failure.status {
        StatusCode::METHOD_NOT_ALLOWED => failure.or_allow(|| routes::allowed(&call.path, server.definitions).ok()),
        _ => failure,
    })
}

/// What may be asked of a path; for browsers, who ask before what they do, also where that will be refused.
fn options(server: &Server, headers: &HeaderMap, path: &[String]) -> Result<Reply> {
    let allow = match routes::allowed(path, server.definitions) {
        Ok(allow) => Some(allow),
        Err(_) if cors::is_preflight(&Method::OPTIONS, headers) => None,
        Err(failure) => return Err(failure),
    };
    Ok(Reply {
        allow,
        ..Reply::empty(StatusCode::NO_CONTENT)
    })
}
