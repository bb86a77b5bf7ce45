//! HTTP in: messages on the device port, dead letters, dry run and the mapping page on the management port.

mod dead_letters;
mod dry_run;
mod extract;
mod mapping_page;
mod messages;
mod origin;
mod trace;
mod unmatched;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::spool::SpoolError;

pub use dead_letters::routes as dead_letter_routes;
pub use dry_run::routes as dry_run_routes;
pub use mapping_page::routes as mapping_page_routes;
pub use messages::{Full, Ingest, routes as message_routes};
pub use origin::own_pages_only;
pub use trace::routes as trace_routes;
pub use unmatched::routes as unmatched_routes;

/// A refusal as JSON: `{"error": …}`.
pub fn refusal(status: StatusCode, message: impl std::fmt::Display) -> Response {
    (status, Json(json!({"error": message.to_string()}))).into_response()
}

/// What is said when the spool can't do what is asked for.
pub fn failed(error: &SpoolError) -> Response {
    let status = if error.is_temporary() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    refusal(status, daemon::process::describe(error))
}
