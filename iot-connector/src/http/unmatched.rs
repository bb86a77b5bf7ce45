//! Shapes of messages that no template is for, on the management port.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};

use crate::unmatched::{Page, Unmatched};

/// The route.
pub fn routes(unmatched: Arc<Unmatched>) -> Router {
    Router::new().route("/unmatched", get(list)).with_state(unmatched)
}

async fn list(State(unmatched): State<Arc<Unmatched>>) -> Json<Page> {
    Json(unmatched.page())
}
