//! HTTP in, HTTP out: limits, formats, headers; what is asked goes to `interactions` as a [`call::Call`].

pub mod call;
pub mod failure;
pub mod json;
pub mod negotiation;
pub mod operation;
pub mod reply;
pub mod route;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::Router;
use bytes::Bytes;
use fhir_resource::{Document, Limits};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use uuid::Uuid;

use self::call::{Call, Conditions, Pairs};
use self::failure::{Failure, Result};
use self::negotiation::{Prefer, Wanted};
use self::reply::Reply;
use self::route::Interaction;
use crate::access::Principal;
use crate::interactions;
use crate::server::Server;
use crate::writes;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const PROVENANCE: HeaderName = HeaderName::from_static("x-provenance");
const ITEMS_DELETED: HeaderName = HeaderName::from_static("items-deleted");
/// A form with search parameters is short.
const FORM_BYTES: u64 = 1 << 20;

/// The FHIR API as a router.
pub fn router(server: Arc<Server>) -> Router {
    Router::new().fallback(serve).with_state(server)
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let started = Instant::now();
    let correlation = request.headers().get(&REQUEST_ID).cloned();
    let query = request.uri().query().map(call::pairs).unwrap_or_default();
    let mut interaction = "none";
    let wanted = Wanted::of(request.headers(), &query);
    let answered = match &wanted {
        Ok(_) => admitted(&server, request, query, &mut interaction).await,
        Err(failure) => Err(failure.clone()),
    };
    let mut response = respond(answered, wanted.unwrap_or_default());
    server
        .metrics
        .answered(interaction, response.status(), started.elapsed());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
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
    interaction: &mut &'static str,
) -> Result<Reply> {
    let Some(_permit) = server.admit() else {
        let text = "The maximum number of concurrent API calls on this instance was reached.";
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "throttled", text);
        return Err(Failure {
            retry_after: Some(1),
            ..failure
        });
    };
    let limit = Duration::from_secs(u64::from(server.limits.request_seconds()));
    let answer = tokio::time::timeout(limit, answer(server, request, query, interaction)).await;
    answer.unwrap_or_else(|_| Err(Failure::too_costly()))
}

async fn answer(server: &Arc<Server>, request: Request, mut query: Pairs, code: &mut &'static str) -> Result<Reply> {
    let (parts, body) = request.into_parts();
    let path = call::segments(parts.uri.path());
    let interaction = Interaction::of(&parts.method, &path, server.definitions)?;
    *code = interaction.code();
    let principal = if interaction.is_open() {
        Principal::nobody()
    } else {
        server
            .access
            .authenticate(parts.headers.get(header::AUTHORIZATION))
            .await?
    };
    let is_form = parts.method == Method::POST && path.last().is_some_and(|last| last == "_search");
    let document = match &interaction {
        _ if is_form => {
            query.extend(form(&parts.headers, body).await?);
            None
        }
        Interaction::Create(_) | Interaction::Update(..) | Interaction::ConditionalUpdate(_) | Interaction::Bundle => {
            negotiation::require_json(&parts.headers)?;
            let is_bundle = interaction == Interaction::Bundle;
            let limit = if is_bundle {
                server.limits.bundle_bytes()
            } else {
                server.limits.resource_bytes()
            };
            let too_large = if is_bundle {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::PAYLOAD_TOO_LARGE
            };
            Some(Document::parse(read(body, limit, too_large).await?, Limits::default())?)
        }
        Interaction::Operation(_) if parts.method == Method::POST => {
            negotiation::require_json(&parts.headers)?;
            let limit = server.limits.resource_bytes();
            let body = read(body, limit, StatusCode::PAYLOAD_TOO_LARGE).await?;
            let document = (!body.is_empty()).then(|| Document::parse(body, Limits::default()));
            document.transpose()?
        }
        Interaction::Patch(..) | Interaction::ConditionalPatch(_) => {
            let is_json_patch = negotiation::require_patch(&parts.headers)?;
            let limit = server.limits.resource_bytes();
            let body = read(body, limit, StatusCode::PAYLOAD_TOO_LARGE).await?;
            let document = Document::parse(body, Limits::default())?;
            if document.root().is_array() != is_json_patch {
                return Err(Failure::invalid(
                    "A patch is a JSON array with `application/json-patch+json`, or a Parameters resource with \
                     `application/fhir+json`.",
                ));
            }
            Some(document)
        }
        _ => None,
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
        base: server.base(&parts.headers),
        principal,
        resource: document.as_ref().map(Document::root),
        provenance: provenance.as_ref(),
    };
    interactions::perform(server, &interaction, &call).await
}

async fn form(headers: &http::HeaderMap, body: Body) -> Result<Pairs> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let bytes = read(body, FORM_BYTES, StatusCode::PAYLOAD_TOO_LARGE).await?;
    if bytes.is_empty() {
        return Ok(Pairs::new());
    }
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        let text = "The content of `_search` must be `application/x-www-form-urlencoded`.";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text));
    }
    Ok(call::pairs(&String::from_utf8_lossy(&bytes)))
}

async fn read(body: Body, limit: u64, too_large: StatusCode) -> Result<Bytes> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            too_large,
            "too-long",
            format!("The request body exceeds the limit of {limit} bytes."),
        )),
        Err(_) => Err(Failure::invalid("The request body could not be read.")),
    }
}

fn respond(answered: Result<Reply>, wanted: Wanted) -> Response {
    let (reply, retry_after, challenge) = match answered {
        Ok(reply) => (reply, None, None),
        Err(failure) => (Reply::from(&failure), failure.retry_after, failure.challenge),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, reply.etag());
    put(header::LAST_MODIFIED, reply.last_modified.map(reply::http_date));
    put(header::RETRY_AFTER, retry_after.map(|seconds| seconds.to_string()));
    put(header::WWW_AUTHENTICATE, challenge);
    put(ITEMS_DELETED, reply.deleted.map(|number| number.to_string()));
    put(header::LOCATION, reply.location);
    if !reply.body.is_empty() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(wanted.media_type.content_type()),
        );
        let body = if wanted.pretty {
            json::pretty(&reply.body)
        } else {
            reply.body
        };
        *response.body_mut() = Body::from(body);
    }
    response
}
