//! What became of a message, on the management port.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::refusal;
use crate::{
    spool::SpoolError,
    trace::{self, Tracing},
};

/// A page has at most so many entries.
const PAGE: u32 = 1000;

/// The routes; both are for operators, not for devices.
pub fn routes(tracing: Arc<Tracing>) -> Router {
    Router::new()
        .route("/traces", get(latest))
        .route("/traces/{id}", get(one))
        .with_state(tracing)
}

#[derive(Deserialize)]
#[serde(default)]
struct Listing {
    limit: u32,
}

impl Default for Listing {
    fn default() -> Self {
        Self { limit: 20 }
    }
}

async fn latest(State(tracing): State<Arc<Tracing>>, Query(listing): Query<Listing>) -> Response {
    answer(move || tracing.latest(listing.limit.clamp(1, PAGE))).await
}

async fn one(State(tracing): State<Arc<Tracing>>, Path(id): Path<i64>) -> Response {
    answer(move || tracing.of(id)?.ok_or(trace::Error::Unknown(id))).await
}

async fn answer<T: serde::Serialize + Send + 'static>(
    ask: impl FnOnce() -> Result<T, trace::Error> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(found)) => Json(found).into_response(),
        Ok(Err(error @ trace::Error::Unknown(_))) => refusal(StatusCode::NOT_FOUND, error),
        Ok(Err(error @ trace::Error::Spool(SpoolError::NoTraces))) => refusal(StatusCode::NOT_IMPLEMENTED, error),
        Ok(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, daemon::process::describe(&error)),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
