//! Replies as HTTP responses: headers, and the body in the format that is wanted.

use axum::body::Body;
use axum::response::Response;
use fhir_definitions::Definitions;
use fhir_resource::xml::{self, Style, WriteError};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::failure::{Failure, Result};
use super::json;
use super::negotiation::{Format, Wanted};
use super::reply::{self, Reply};
use crate::server::Server;

const ITEMS_DELETED: HeaderName = HeaderName::from_static("items-deleted");
/// Bodies that are longer are rewritten where they hold up no other request.
const LONG: usize = 256 << 10;

/// The response to a request.
pub async fn of(server: &Server, answered: Result<Reply>, wanted: Wanted) -> Response {
    let (mut reply, mut retry_after, mut challenge) = parts(answered);
    let mut content_type = wanted.media_type.content_type();
    let mut body = std::mem::take(&mut reply.body);
    if let Some(foreign) = reply.foreign {
        content_type = foreign;
    } else if !body.is_empty() && (wanted.pretty || wanted.media_type.format() == Format::Xml) {
        match rewritten(server.definitions, body, wanted).await {
            Ok(rewritten) => body = rewritten,
            Err(failure) => {
                (reply, retry_after, challenge) = parts(Err(failure));
                body = std::mem::take(&mut reply.body);
                content_type = Wanted::default().media_type.content_type();
            }
        }
    }
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
    put(header::ALLOW, reply.allow);
    put(ITEMS_DELETED, reply.deleted.map(|number| number.to_string()));
    put(header::LOCATION, reply.location);
    put(header::CONTENT_LOCATION, reply.content_location);
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        *response.body_mut() = Body::from(body);
    }
    response
}

fn parts(answered: Result<Reply>) -> (Reply, Option<u32>, Option<String>) {
    match answered {
        Ok(reply) => (reply, None, None),
        Err(failure) => (Reply::from(&failure), failure.retry_after, failure.challenge),
    }
}

/// A resource's JSON in another form.
async fn rewritten(definitions: &'static Definitions, body: Vec<u8>, wanted: Wanted) -> Result<Vec<u8>> {
    let is_long = body.len() > LONG;
    let rewrite = move || match wanted.media_type.format() {
        Format::Json => Ok(json::pretty(&body)),
        Format::Xml => {
            // Bodies were UTF-8 when they came; what isn't fails to be read as JSON.
            let text = String::from_utf8_lossy(&body);
            let style = Style {
                pretty: wanted.pretty,
                lossy: true,
            };
            xml::write_text(definitions, &text, style)
        }
    };
    let result = if is_long {
        tokio::task::spawn_blocking(rewrite)
            .await
            .map_err(|error| Failure::internal(&error))?
    } else {
        rewrite()
    };
    result.map_err(|error| unwritable(&error))
}

/// A resource that was stored as JSON, and has no XML.
fn unwritable(error: &WriteError) -> Failure {
    let text = format!("The resource can't be written in XML, ask for `application/fhir+json`: {error}");
    Failure::new(StatusCode::NOT_ACCEPTABLE, "not-supported", text)
}
