//! What a process shows of itself: `/health/live`, `/health/ready`, `/health/check`, `/metrics`, `/status`.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

use crate::{Health, Metrics, metrics};

/// `/health/live` and `/health/ready`: 200 `ok`, or 503 with what is missing; `/health/check`: readiness as Azure API for
/// FHIR wrote it.
pub fn health_routes<S: Clone + Send + Sync + 'static>(health: &Health) -> Router<S> {
    let (live, ready, check) = (health.clone(), health.clone(), health.clone());
    Router::new()
        .route("/health/live", get(async move || verdict(live.live())))
        .route("/health/ready", get(async move || verdict(ready.ready())))
        .route("/health/check", get(async move || report(check.ready())))
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

/// As ASP.NET Core's health checks are shown there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    overall_status: &'static str,
    details: [Detail; 1],
}

#[derive(Serialize)]
struct Detail {
    name: &'static str,
    status: &'static str,
    description: String,
}

fn report(result: Result<(), String>) -> Response {
    let (code, status, description) = match result {
        Ok(()) => (StatusCode::OK, "Healthy", "requests are served".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy", missing),
    };
    let name = "ready";
    let report = Report {
        overall_status: status,
        details: [Detail {
            name,
            status,
            description,
        }],
    };
    (code, Json(report)).into_response()
}
