//! What became of the latest messages, in a stream of their own: its oldest ones make room. Nobody waits for them to be
//! stored, so the last ones before a crash may be missing.

use iot_connector_settings::Trace as Settings;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::{
    Shared,
    entry::{self, Entry},
    scan::Scan,
    streams::Streams,
};
use crate::{
    pipeline::now,
    spool::{Done, Finished, Micros, SpoolError, Term, Trace, Written},
};

/// A part of a message that is done with.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    /// The message.
    id: i64,
    received: Micros,
    finished: Micros,
    mapping: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unmatched: bool,
    #[serde(default)]
    faults: usize,
    written: Vec<Written>,
    /// Absent where the body isn't kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

/// Keeps what became of an entry.
pub(super) async fn keep(streams: &Streams, keep: &Settings, bucket: u32, message: &Finished, entry: &Entry) {
    if keep.keep == 0 {
        return;
    }
    // A dead letter has the payload.
    let with_body = message.faults.is_empty() && entry.raw.body.len() <= keep.max_body_bytes as usize;
    let head = Head {
        id: entry.raw.order.position,
        received: entry.raw.order.received,
        finished: now(),
        mapping: message.mapping.to_string(),
        unmatched: message.account.get(Term::Unmatched) > 0,
        faults: message.faults.len(),
        written: message.written.iter().map(|written| (**written).clone()).collect(),
        context: with_body.then(|| entry.raw.context.to_string()),
    };
    let body = if with_body { &entry.raw.body[..] } else { &[] };
    let subject = format!("{}.trace.{}.{bucket}", streams.name, head.id);
    let client = streams.context.client();
    if let Err(error) = client.publish(subject, entry::join(&head, body).into()).await {
        debug!("a trace can't be kept: {error}");
    }
}

impl Shared {
    /// What is known of a message.
    pub async fn trace(&self, id: i64) -> Result<Option<Trace>, SpoolError> {
        let streams = self.streams()?;
        let mut trace: Option<Trace> = None;
        let mut parts = Scan::from(&streams.traces, 1, Some(format!("{}.trace.{id}.*", streams.name))).await?;
        while let Some(found) = parts.next().await? {
            add(&mut trace, part(&found.payload)?);
        }
        let letters = self.letters_of(id).await?;
        if let Some(letter) = letters.first() {
            let trace = trace.get_or_insert_with(|| Trace::of(id, letter.received));
            if trace.body.is_none() {
                (trace.body, trace.context) = (letter.body.clone(), letter.context.clone());
            }
            trace.dead_letters = letters;
        }
        // Of what waits, only what waits here is known.
        if let Some((entry, queued)) = self.hand.waiting(id) {
            let trace = trace.get_or_insert_with(|| Trace::of(id, entry.raw.order.received));
            trace.waiting_since = Some(queued);
            trace.body = Some(entry.raw.body.to_vec());
            trace.context = Some(entry.raw.context.to_string());
        }
        Ok(trace)
    }

    /// The latest messages that are done with, newest first, without payloads and dead letters.
    pub async fn latest_traces(&self, limit: u32) -> Result<Vec<Trace>, SpoolError> {
        let streams = self.streams()?;
        let state = streams.traces.get_info().await;
        let state = state.map_err(|error| super::scan::failed(&error))?.state;
        let first = (state.last_sequence + 1).saturating_sub(u64::from(limit));
        let mut scan = Scan::from(&streams.traces, first, None).await?;
        let mut latest: Vec<Trace> = Vec::new();
        while let Some(found) = scan.next().await? {
            let part = part(&found.payload)?;
            let known = latest.iter().position(|trace| trace.id == part.id);
            let mut trace = known.map(|at| latest.remove(at));
            add(&mut trace, part);
            latest.extend(trace.map(|trace| Trace {
                body: None,
                context: None,
                ..trace
            }));
        }
        latest.reverse();
        Ok(latest)
    }
}

/// A part as it was kept.
fn part(payload: &bytes::Bytes) -> Result<Trace, SpoolError> {
    let unreadable = |error| SpoolError::Shared(format!("a trace can't be read: {error}"));
    let (head, body) = entry::split::<Head>(payload).map_err(unreadable)?;
    Ok(Trace {
        done: Some(Done {
            finished: head.finished,
            mapping: head.mapping,
            unmatched: head.unmatched,
            faults: head.faults,
            written: head.written,
        }),
        body: head.context.is_some().then(|| body.to_vec()),
        context: head.context,
        ..Trace::of(head.id, head.received)
    })
}

/// Puts the parts of a message together.
fn add(trace: &mut Option<Trace>, part: Trace) {
    let Some(whole) = trace else {
        *trace = Some(part);
        return;
    };
    if whole.body.is_none() {
        (whole.body, whole.context) = (part.body, part.context);
    }
    match (&mut whole.done, part.done) {
        (Some(done), Some(more)) => {
            done.finished = done.finished.max(more.finished);
            done.unmatched |= more.unmatched;
            done.faults += more.faults;
            done.written.extend(more.written);
        }
        (done, more) => *done = done.take().or(more),
    }
}
