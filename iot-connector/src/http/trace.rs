//! What became of a message, on the management port.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::{
    extract::{Path, Query},
    failed, refusal,
};
use crate::trace::{self, Tracing};

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
    answer(tracing.latest(listing.limit.clamp(1, PAGE)).await)
}

async fn one(State(tracing): State<Arc<Tracing>>, Path(id): Path<i64>) -> Response {
    let found = tracing.of(id).await;
    answer(found.and_then(|page| page.ok_or(trace::Error::Unknown(id))))
}

fn answer<T: serde::Serialize>(told: Result<T, trace::Error>) -> Response {
    match told {
        Ok(found) => Json(found).into_response(),
        Err(error @ trace::Error::Unknown(_)) => refusal(StatusCode::NOT_FOUND, error),
        Err(trace::Error::Spool(error)) => failed(&error),
    }
}
