//! What a process shows of itself: `/health/live`, `/health/ready`, `/metrics`, `/status`.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

use crate::{Health, Metrics, metrics};

/// `/health/live` and `/health/ready`: 200 `ok`, or 503 with what is missing.
pub fn health_routes<S: Clone + Send + Sync + 'static>(health: &Health) -> Router<S> {
    let (live, ready) = (health.clone(), health.clone());
    Router::new()
        .route("/health/live", get(async move || verdict(live.live())))
        .route("/health/ready", get(async move || verdict(ready.ready())))
}

/// The routes of a management port; `status` gives the JSON of `/status`.
pub fn routes<F, T>(
    health: &Health,
    metrics: &Arc<Metrics>,
    status: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = T> + Send + 'static,
    T: Serialize + Send + 'static,
{
    let metrics = metrics.clone();
    health_routes(health)
        .route("/metrics", get(async move || metrics_page(&metrics)))
        .route("/status", get(async move || Json(status().await)))
}

fn metrics_page(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn verdict(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing).into_response(),
    }
}
