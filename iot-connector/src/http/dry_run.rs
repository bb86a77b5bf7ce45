//! `POST /dry-run` on the management port: what mappings make of messages.

use std::borrow::Cow;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use iot_connector_settings::Compatibility;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{extract::JsonBody, refusal};
use crate::{
    dry_run::{Envelope, report},
    mappings::compatibility_of,
};

/// The route.
pub fn routes() -> Router {
    Router::new().route("/dry-run", post(try_out))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    device_mapping: Option<Box<RawValue>>,
    fhir_mapping: Option<Box<RawValue>>,
    /// A message or a list of them.
    messages: Option<Box<RawValue>>,
    /// `Properties` of messages that aren't envelopes.
    #[serde(default)]
    properties: Map<String, Value>,
    /// `SystemProperties` of messages that aren't envelopes.
    #[serde(default)]
    system_properties: Map<String, Value>,
    #[serde(default)]
    compatibility: Compatibility,
}

async fn try_out(JsonBody(request): JsonBody<Request>) -> Response {
    let work = move || {
        let device = request.device_mapping.as_deref().map(text);
        let fhir = request.fhir_mapping.as_deref().map(text);
        let messages = request.messages.as_deref().map(text).unwrap_or_default();
        let envelope = Envelope {
            properties: request.properties,
            system_properties: request.system_properties,
        };
        report(
            device.as_deref(),
            fhir.as_deref(),
            messages.into_owned().into_bytes(),
            &envelope,
            compatibility_of(request.compatibility),
        )
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// JSON as it stands in the request, or what a string holds: a text that somebody is writing needn't be JSON yet.
fn text(json: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str(json.get()) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(json.get()),
    }
}
