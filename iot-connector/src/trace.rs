//! What became of a message, told to people: its state, what the mappings make of it, and what was written.
//!
//! Templates and measurements are worked out anew with the mappings in force; the page says where others were in force when
//! the message was done.

use std::sync::Arc;

use iot_mapping::{Message, MessageReport, try_message};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    mappings::Pair,
    spool::{DeadLetter, SpoolError, Trace, Written},
    status::{SharedReport, moment},
    store::Store,
};

/// Why a message can't be traced.
#[derive(Debug, Error)]
pub enum Error {
    /// No message has this id, or it is too old.
    #[error(
        "message {0} isn't known: none had this id, or so many are done with since then that it is forgotten (`trace.keep`)"
    )]
    Unknown(i64),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// It waits for its window, the mappings or the FHIR server.
    Waiting,
    /// All of its readings are accounted for.
    Done,
    /// No template matched.
    Unmatched,
    /// It, or a part of it, is a dead letter; in lists also one that was discarded since.
    DeadLetter,
    /// It, or a part of it, was a dead letter that somebody discarded.
    Discarded,
}

/// One message, as `/traces/ID` and `iot-connector trace ID` show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The message.
    pub id: i64,
    /// How far it is.
    pub state: State,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When it was accepted.
    pub received: String,
    /// When it was done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// The Observations that its readings are in.
    pub observations: Vec<Written>,
    /// Its parts that couldn't be used.
    pub dead_letters: Vec<Dead>,
    /// What the mappings in force make of it; absent in lists, and where the body isn't kept or there are no mappings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapped>,
}

/// A part that couldn't be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dead {
    /// The dead letter.
    pub id: i64,
    /// Where it failed.
    pub stage: String,
    /// The error's name.
    pub reason: String,
    /// The error's text.
    pub detail: String,
}

/// What the mappings make of a message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapped {
    /// Whether other mappings were in force when the message was done.
    pub changed_since: bool,
    /// Templates, measurements, Observations.
    #[serde(flatten)]
    pub report: MessageReport,
}

/// What is asked.
pub struct Tracing {
    /// Where messages are.
    pub store: Store,
    /// The mappings in force.
    pub mappings: watch::Receiver<Option<Arc<Pair>>>,
    /// How the FHIR server is.
    pub report: SharedReport,
}

impl Tracing {
    /// A message; `None` where it isn't known.
    pub async fn of(self: Arc<Self>, id: i64) -> Result<Option<Page>, Error> {
        let Some(trace) = self.store.trace(id).await? else {
            return Ok(None);
        };
        // A long message takes its time.
        let told = tokio::task::spawn_blocking(move || Page {
            mapping: self.mapped(&trace),
            ..self.page(&trace)
        });
        Ok(Some(told.await.map_err(|_| SpoolError::Closed)?))
    }

    /// The latest that are done with, newest first.
    pub async fn latest(&self, limit: u32) -> Result<Vec<Page>, Error> {
        let traces = self.store.latest_traces(limit).await?;
        let page = |trace| match self.page(trace) {
            // whether it still is one isn't looked up
            page if page.state == State::Discarded => Page {
                state: State::DeadLetter,
                ..page
            },
            page => page,
        };
        Ok(traces.iter().map(page).collect())
    }

    fn page(&self, trace: &Trace) -> Page {
        let done = trace.done.as_ref();
        let state = match done {
            _ if trace.waiting_since.is_some() => State::Waiting,
            _ if !trace.dead_letters.is_empty() => State::DeadLetter,
            Some(done) if done.faults > 0 => State::Discarded,
            Some(done) if done.unmatched => State::Unmatched,
            _ => State::Done,
        };
        Page {
            id: trace.id,
            state,
            waits_for: (state == State::Waiting).then(|| self.waits_for()),
            received: moment(trace.received),
            finished: done.map(|done| moment(done.finished)),
            observations: done.map(|done| done.written.clone()).unwrap_or_default(),
            dead_letters: trace.dead_letters.iter().map(Dead::of).collect(),
            mapping: None,
        }
    }

    fn waits_for(&self) -> String {
        if self.mappings.borrow().is_none() {
            return "the mappings".to_owned();
        }
        let trouble = self.report.fhir_trouble();
        trouble.map_or_else(
            || "its window, or its turn".to_owned(),
            |why| format!("the FHIR server: {why}"),
        )
    }

    fn mapped(&self, trace: &Trace) -> Option<Mapped> {
        let pair = self.mappings.borrow().clone()?;
        let (body, context) = (trace.body.as_deref()?, trace.context.as_deref()?);
        let message = Message::Body { body, context };
        let now = Timestamp::from_microsecond(trace.received).unwrap_or_default();
        Some(Mapped {
            changed_since: trace.done.as_ref().is_some_and(|done| *done.mapping != *pair.digest),
            report: try_message(
                usize::try_from(trace.id).unwrap_or_default(),
                message,
                &pair.device,
                Some(&pair.fhir),
                now,
            ),
        })
    }
}

impl Dead {
    fn of(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id,
            stage: letter.stage.clone(),
            reason: letter.reason.clone(),
            detail: letter.detail.clone(),
        }
    }
}
