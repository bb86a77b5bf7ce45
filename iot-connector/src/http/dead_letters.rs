//! Dead letters on the management port: list, inspect, replay, discard.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    extract::{Path, Query},
    failed, refusal,
};
use crate::{
    pipeline::now,
    spool::{DeadLetter, DeadLetterFilter, SpoolError},
    status::moment,
    store::Store,
};

/// A page has at most so many entries.
const PAGE: u32 = 1000;

/// The routes; all of them are for operators, not for devices.
pub fn routes(store: Store) -> Router {
    Router::new()
        .route("/dead-letters", get(list).delete(discard_matching))
        .route("/dead-letters/replay", post(replay_matching))
        .route("/dead-letters/{id}", get(show).delete(discard))
        .route("/dead-letters/{id}/replay", post(replay))
        .with_state(store)
}

/// A condition that isn't understood must not be passed over: more would be deleted than was meant.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listing {
    stage: Option<String>,
    reason: Option<String>,
    template: Option<String>,
    after: i64,
    limit: u32,
    /// `true` says that everything is meant where there is no condition.
    all: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            stage: None,
            reason: None,
            template: None,
            after: 0,
            limit: 100,
            all: false,
        }
    }
}

impl Listing {
    fn filter(&self) -> DeadLetterFilter {
        let (stage, reason, template) = (self.stage.clone(), self.reason.clone(), self.template.clone());
        DeadLetterFilter {
            id: None,
            stage,
            reason,
            template,
        }
    }

    /// Replaying or deleting everything has to be asked for.
    fn filter_or_all(&self) -> Result<DeadLetterFilter, Box<Response>> {
        let filter = self.filter();
        if filter == DeadLetterFilter::default() && !self.all {
            let text = "say which: one by its number, those of a `stage`, `reason` or `template`, or `all`";
            return Err(Box::new(refusal(StatusCode::BAD_REQUEST, text)));
        }
        Ok(filter)
    }
}

async fn list(State(store): State<Store>, Query(listing): Query<Listing>) -> Response {
    let limit = listing.limit.clamp(1, PAGE);
    match store.dead_letters(listing.filter(), listing.after, limit).await {
        Ok(letters) => {
            let full = letters.len() == limit as usize;
            let next = letters.last().filter(|_| full).map(|last| last.id);
            let letters: Vec<Value> = letters.iter().map(head).collect();
            Json(json!({"total": store.figures().dead_letters(), "deadLetters": letters, "next": next})).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn show(State(store): State<Store>, Path(id): Path<i64>) -> Response {
    match store.dead_letter(id).await {
        Ok(Some(letter)) => Json(whole(&letter)).into_response(),
        Ok(None) => unknown(id),
        Err(error) => failed(&error),
    }
}

async fn replay(State(store): State<Store>, Path(id): Path<i64>) -> Response {
    counted(
        "replayed",
        store.replay(DeadLetterFilter::one(id), now()).await,
        Some(id),
    )
}

async fn replay_matching(State(store): State<Store>, Query(listing): Query<Listing>) -> Response {
    match listing.filter_or_all() {
        Ok(filter) => counted("replayed", store.replay(filter, now()).await, None),
        Err(response) => *response,
    }
}

async fn discard(State(store): State<Store>, Path(id): Path<i64>) -> Response {
    counted("discarded", store.discard(DeadLetterFilter::one(id)).await, Some(id))
}

async fn discard_matching(State(store): State<Store>, Query(listing): Query<Listing>) -> Response {
    match listing.filter_or_all() {
        Ok(filter) => counted("discarded", store.discard(filter).await, None),
        Err(response) => *response,
    }
}

fn head(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id, "message": letter.message, "died": moment(letter.died), "received": moment(letter.received), "stage": letter.stage,
        "reason": letter.reason, "detail": letter.detail, "template": letter.template, "path": letter.path
    })
}

fn whole(letter: &DeadLetter) -> Value {
    let mut value = head(letter);
    let body = letter.body.as_deref().unwrap_or_default();
    // As JSON where it is, as text where it is that, and in any case so that nothing is lost.
    if let Ok(json) = serde_json::from_slice::<&RawValue>(body) {
        value["payload"] = serde_json::from_str(json.get()).unwrap_or(Value::Null);
    } else if let Ok(text) = std::str::from_utf8(body) {
        value["payloadText"] = Value::from(text);
    } else {
        value["payloadBase64"] = Value::from(STANDARD.encode(body));
    }
    let context: Value = letter
        .context
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    value["properties"] = context["Properties"].clone();
    value["systemProperties"] = context["SystemProperties"].clone();
    value
}

fn counted(what: &str, result: Result<u64, SpoolError>, id: Option<i64>) -> Response {
    match (result, id) {
        (Ok(0), Some(id)) => unknown(id),
        (Ok(count), _) => Json(json!({what: count})).into_response(),
        (Err(error), _) => failed(&error),
    }
}

fn unknown(id: i64) -> Response {
    refusal(StatusCode::NOT_FOUND, format!("there is no dead letter {id}"))
}
