//! `POST /dry-run` on the management port: what mappings make of messages.

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use iot_connector_settings::Compatibility;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal;
use crate::{dry_run::report, mappings::compatibility_of};

/// The route.
pub fn routes() -> Router {
    Router::new().route("/dry-run", post(try_out))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    device_mapping: Box<RawValue>,
    fhir_mapping: Option<Box<RawValue>>,
    /// A message or a list of them.
    messages: Option<Box<RawValue>>,
    #[serde(default)]
    compatibility: Compatibility,
}

async fn try_out(Json(request): Json<Request>) -> Response {
    let work = move || {
        let fhir = request.fhir_mapping.as_ref().map(|mapping| mapping.get());
        let messages = request
            .messages
            .map(|messages| messages.get().as_bytes().to_vec())
            .unwrap_or_default();
        report(
            Some(request.device_mapping.get()),
            fhir,
            messages,
            compatibility_of(request.compatibility),
        )
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
