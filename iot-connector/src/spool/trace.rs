//! What became of messages, kept for the latest of them after they are done with, so that people can ask.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{DeadLetter, Finished, Micros, SpoolError, Term, dead_letter};

/// Old traces are forgotten once in so many new ones.
const TRIM_EVERY: i64 = 1024;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The latest so many messages; 0: none.
    pub messages: u32,
    /// A message with more bytes is kept without its body.
    pub body_bytes: u32,
}

impl From<&iot_connector_settings::Trace> for Keep {
    fn from(settings: &iot_connector_settings::Trace) -> Self {
        Self {
            messages: settings.keep,
            body_bytes: settings.max_body_bytes,
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self::from(&iot_connector_settings::Trace::default())
    }
}

/// An Observation that readings of a message are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// `typeName` of the template.
    pub template: String,
    /// The Observation's id.
    pub observation: String,
    /// Its version after that; absent where the server told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `ObservationCreated`, `ObservationUpdated`, or `NoOperation` where it had everything already.
    pub operation: String,
}

/// How a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// When.
    pub finished: Micros,
    /// Tells the mapping pair that it was worked on with.
    pub mapping: String,
    /// Whether no template matched.
    pub unmatched: bool,
    /// Parts of it that became dead letters, which may have been discarded since.
    pub faults: usize,
    /// What was written.
    pub written: Vec<Written>,
}

/// What is known of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its id: its first place in the queue.
    pub id: i64,
    /// When it was first accepted.
    pub received: Micros,
    /// It isn't done with: in the queue since then.
    pub waiting_since: Option<Micros>,
    /// How it ended, the last time that it was worked on.
    pub done: Option<Done>,
    /// Its parts that are dead letters, without payloads.
    pub dead_letters: Vec<DeadLetter>,
    /// The device's bytes, where they are kept.
    pub body: Option<Vec<u8>>,
    /// JSON text with `Properties` and `SystemProperties`, where the body is kept.
    pub context: Option<String>,
}

impl Trace {
    /// Of a message of which nothing else is known.
    pub fn of(id: i64, received: Micros) -> Self {
        Self {
            id,
            received,
            waiting_since: None,
            done: None,
            dead_letters: Vec::new(),
            body: None,
            context: None,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Outcome<W> {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unmatched: bool,
    #[serde(default)]
    faults: usize,
    written: W,
}

/// Keeps what became of a message that is about to leave the queue.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    message: &Finished,
    now: Micros,
    keep: Keep,
) -> Result<(), rusqlite::Error> {
    if keep.messages == 0 {
        return Ok(());
    }
    let outcome = Outcome {
        unmatched: message.account.get(Term::Unmatched) > 0,
        faults: message.faults.len(),
        written: message.written.iter().map(AsRef::as_ref).collect::<Vec<&Written>>(),
    };
    let outcome = serde_json::to_string(&outcome).unwrap_or_default();
    // A dead letter has the payload.
    let body_bytes = if message.faults.is_empty() {
        i64::from(keep.body_bytes)
    } else {
        -1
    };
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO traces (position, received, finished, mapping, outcome, body, context)
         SELECT coalesce(position, seq), received, ?2, ?3, ?4, iif(length(body) <= ?5, body, NULL),
                iif(length(body) <= ?5, context, NULL)
         FROM messages WHERE seq = ?1",
    )?;
    insert.execute(params![message.seq, now, &*message.mapping, outcome, body_bytes])?;
    if message.seq % TRIM_EVERY == 0 {
        let mut trim = transaction.prepare_cached(
            "DELETE FROM traces WHERE place <= (SELECT place FROM traces ORDER BY place DESC LIMIT 1 OFFSET ?1)",
        )?;
        trim.execute([keep.messages])?;
    }
    Ok(())
}

/// What is known of a message.
pub(super) fn find(connection: &Connection, id: i64) -> Result<Option<Trace>, SpoolError> {
    let mut trace = kept(connection, id)?;
    let mut waiting = connection.prepare_cached(
        "SELECT received, queued, body, context FROM messages WHERE seq = ?1 AND position IS NULL
         UNION ALL SELECT received, queued, body, context FROM messages WHERE position = ?1",
    )?;
    let waits = waiting
        .query_row([id], |row| {
            Ok(Trace {
                waiting_since: Some(row.get(1)?),
                body: Some(row.get(2)?),
                context: Some(row.get(3)?),
                ..Trace::of(id, row.get(0)?)
            })
        })
        .optional()?;
    if let Some(waits) = waits {
        let done = trace.and_then(|trace| trace.done);
        trace = Some(Trace { done, ..waits });
    }
    let dead_letters = dead_letter::of_message(connection, id)?;
    if let (None, Some(letter)) = (&trace, dead_letters.first()) {
        trace = Some(Trace::of(id, letter.received));
    }
    let Some(mut trace) = trace else { return Ok(None) };
    if let (None, Some(letter)) = (&trace.body, dead_letters.first()) {
        let whole = dead_letter::get(connection, letter.id)?;
        (trace.body, trace.context) = whole.map_or((None, None), |letter| (letter.body, letter.context));
    }
    trace.dead_letters = dead_letters;
    Ok(Some(trace))
}

/// The latest messages that are done with, newest first, without payloads and dead letters.
pub(super) fn latest(connection: &Connection, limit: u32) -> Result<Vec<Trace>, SpoolError> {
    let mut statement = connection.prepare_cached(
        "SELECT position, received, finished, mapping, outcome, NULL, NULL FROM traces
         ORDER BY place DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], of_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn kept(connection: &Connection, id: i64) -> Result<Option<Trace>, SpoolError> {
    let mut statement = connection.prepare_cached(
        "SELECT position, received, finished, mapping, outcome, body, context FROM traces WHERE position = ?1",
    )?;
    Ok(statement.query_row([id], of_row).optional()?)
}

fn of_row(row: &Row<'_>) -> Result<Trace, rusqlite::Error> {
    let outcome: String = row.get(4)?;
    let outcome: Option<Outcome<Vec<Written>>> = serde_json::from_str(&outcome).ok();
    let outcome = outcome.unwrap_or_default();
    Ok(Trace {
        done: Some(Done {
            finished: row.get(2)?,
            mapping: row.get(3)?,
            unmatched: outcome.unmatched,
            faults: outcome.faults,
            written: outcome.written,
        }),
        body: row.get(5)?,
        context: row.get(6)?,
        ..Trace::of(row.get(0)?, row.get(1)?)
    })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use bytes::Bytes;
    use rstest::rstest;

    use super::*;
    use crate::spool::{Account, Appended, DeadLetterFilter, Fault, Ids, NewMessage, Spool, Stage};

    fn spool(folder: &Path, messages: u32, body_bytes: u32) -> Spool {
        let keep = Keep { messages, body_bytes };
        Spool::open(&folder.join("spool"), keep).unwrap()
    }

    async fn append(spool: &Spool, bodies: &[&str]) -> Ids {
        let message = |body: &&str| NewMessage {
            body: Bytes::copy_from_slice(body.as_bytes()),
            context: "{}".into(),
        };
        match spool.append(bodies.iter().map(message).collect(), 10).await.unwrap() {
            Appended::Stored { ids: Some(ids), .. } => ids,
            other => panic!("{other:?}"),
        }
    }

    fn finished(seq: i64) -> Finished {
        Finished {
            seq,
            account: Account::default(),
            faults: Vec::new(),
            written: Vec::new(),
            mapping: "pair".into(),
        }
    }

    fn written(id: &str) -> Arc<Written> {
        Arc::new(Written {
            template: "hr".to_owned(),
            observation: id.to_owned(),
            version: Some("2".to_owned()),
            operation: "ObservationUpdated".to_owned(),
        })
    }

    async fn finish(spool: &Spool, finished: Vec<Finished>) {
        spool.finish(finished).await.unwrap();
        spool.flush().await.unwrap();
    }

    #[tokio::test]
    async fn a_message_is_known_while_it_waits_and_when_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 10, 100);
        let ids = append(&spool, &["1", "2"]).await;
        assert_eq!(ids, Ids { first: 1, last: 2 });
        let waiting = spool.trace(2).unwrap().unwrap();
        assert_eq!(
            (waiting.waiting_since, waiting.body.as_deref()),
            (Some(10), Some(&b"2"[..]))
        );
        assert_eq!(spool.trace(3).unwrap(), None);
        let done = Finished {
            account: Account::of(&[(Term::Matched, 1)]),
            written: vec![written("a"), written("b")],
            ..finished(1)
        };
        let unmatched = Finished {
            account: Account::of(&[(Term::Unmatched, 1)]),
            ..finished(2)
        };
        finish(&spool, vec![done, unmatched]).await;
        let trace = spool.trace(1).unwrap().unwrap();
        let end = trace.done.unwrap();
        assert_eq!(
            (trace.waiting_since, end.unmatched, &*end.mapping),
            (None, false, "pair")
        );
        assert_eq!(end.written, [(*written("a")).clone(), (*written("b")).clone()]);
        assert!(spool.trace(2).unwrap().unwrap().done.unwrap().unmatched);
        let latest: Vec<i64> = spool.latest_traces(9).unwrap().iter().map(|trace| trace.id).collect();
        assert_eq!(latest, [2, 1]);
    }

    #[tokio::test]
    async fn a_replayed_message_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 10, 100);
        append(&spool, &["bad"]).await;
        let fault = Fault {
            stage: Stage::Write,
            reason: "FhirRefused".to_owned(),
            detail: "422".to_owned(),
            template: None,
            path: None,
        };
        let dead = Finished {
            faults: vec![fault],
            ..finished(1)
        };
        finish(&spool, vec![dead]).await;
        let trace = spool.trace(1).unwrap().unwrap();
        assert_eq!((trace.dead_letters.len(), trace.dead_letters[0].message), (1, 1));
        // the dead letter has it, so it isn't kept twice
        assert_eq!(trace.body.as_deref(), Some(&b"bad"[..]));
        spool.replay(DeadLetterFilter::default(), 20).await.unwrap();
        let trace = spool.trace(1).unwrap().unwrap();
        assert_eq!(
            (trace.waiting_since, trace.received, trace.dead_letters.len()),
            (Some(20), 10, 0)
        );
        assert_eq!(spool.trace(2).unwrap(), None);
        finish(&spool, vec![finished(2)]).await;
        let trace = spool.trace(1).unwrap().unwrap();
        assert_eq!((trace.waiting_since, trace.body.as_deref()), (None, Some(&b"bad"[..])));
    }

    #[rstest]
    #[case::nothing(0, 100, None)]
    #[case::small(10, 5, Some(true))]
    #[case::large(10, 4, Some(false))]
    #[tokio::test]
    async fn bodies_are_kept_as_asked(#[case] messages: u32, #[case] bytes: u32, #[case] expected: Option<bool>) {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), messages, bytes);
        append(&spool, &["12345"]).await;
        finish(&spool, vec![finished(1)]).await;
        let body = spool.trace(1).unwrap().map(|trace| trace.body.is_some());
        assert_eq!(body, expected);
        assert_eq!(spool.figures().messages(), 0);
    }

    #[tokio::test]
    async fn the_latest_are_kept_and_few_more() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 100, 100);
        let bodies = vec!["x"; 2 * usize::try_from(TRIM_EVERY).unwrap()];
        let Ids { last, .. } = append(&spool, &bodies).await;
        finish(&spool, (1..=last).map(finished).collect()).await;
        let kept = spool.latest_traces(u32::MAX).unwrap();
        assert_eq!((kept.len(), kept[0].id), (100, last));
        assert_eq!(spool.trace(last - 100).unwrap(), None);
    }
}
