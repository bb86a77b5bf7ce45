//! Background work: statements on `job`. Those that change one give its id, if it is one that it may be done to.

use std::time::Duration;

use fhir_resource::Micros;

use super::Sql;
use super::dialect::Dialect;
use crate::job::{JobChange, NewJob};
use crate::value::Value;

/// What a [`Job`](crate::job::Job) is made from, in this order.
const COLUMNS: &str = "id, kind, status, input, position, done, total, problem, queued, started, ended, modified";
/// Jobs that are listed at most, the latest ones.
const LISTED: u32 = 100;

fn with(text: impl Into<String>, arguments: impl IntoIterator<Item = Value>) -> Sql {
    Sql {
        text: text.into(),
        arguments: arguments.into_iter().collect(),
    }
}

fn count(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn after(now: Micros, duration: Duration) -> Value {
    now.saturating_add(Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX))
        .into()
}

/// One job.
pub fn one(id: &str) -> Sql {
    with(
        format!("SELECT {COLUMNS} FROM job WHERE id = ?"),
        [id.to_owned().into()],
    )
}

/// The jobs of a kind, those that are open first, then the latest.
pub fn list(kind: &str) -> Sql {
    let text = format!(
        "SELECT {COLUMNS} FROM job WHERE kind = ? \
         ORDER BY status > 1, CASE WHEN status > 1 THEN -queued ELSE queued END LIMIT {LISTED}"
    );
    with(text, [kind.to_owned().into()])
}

/// When the next job of a kind is due; nothing if none waits.
pub fn due(kind: &str) -> Sql {
    let text = "SELECT min(due) FROM job WHERE kind = ? AND status = 0";
    with(text, [kind.to_owned().into()])
}

/// The job of a kind that nobody has begun with.
pub fn waiting(kind: &str) -> Sql {
    let text = format!("SELECT {COLUMNS} FROM job WHERE kind = ? AND status = 0 ORDER BY queued LIMIT 1");
    with(text, [kind.to_owned().into()])
}

/// Puts a job in the queue.
pub fn add(job: &NewJob, now: Micros) -> Sql {
    let text = "INSERT INTO job (id, kind, status, input, queued, due, modified) VALUES (?, ?, 0, ?, ?, ?, ?)";
    let (id, kind, input) = (job.id.clone(), job.kind.to_owned(), job.input.clone());
    let due = after(now, job.after);
    with(
        text,
        [id.into(), kind.into(), input.into(), now.into(), due, now.into()],
    )
}

/// What happens to a job that is there; `Err`: it is a new one.
pub fn change(dialect: Dialect, change: &JobChange, now: Micros) -> Result<Sql, &NewJob> {
    Ok(match change {
        JobChange::Add(job) => return Err(job),
        JobChange::Claim { kind, owner, lease } => {
            // replicas pass by what another one is about to take
            let passing = match dialect {
                Dialect::Sqlite => "",
                Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
            };
            let text = format!(
                "UPDATE job SET status = 1, owner = ?, leased = ?, started = coalesce(started, ?), modified = ? \
                 WHERE id = (SELECT id FROM job WHERE kind = ? AND ((status = 0 AND due <= ?) OR \
                 (status = 1 AND leased <= ?)) ORDER BY queued LIMIT 1{passing}) RETURNING id"
            );
            let (owner, kind) = (owner.clone().into(), (*kind).to_owned().into());
            let until = after(now, *lease);
            with(
                text,
                [owner, until, now.into(), now.into(), kind, now.into(), now.into()],
            )
        }
        JobChange::Advance {
            id,
            owner,
            lease,
            position,
            done,
            total,
        } => {
            let text = "UPDATE job SET leased = ?, position = ?, done = ?, total = ?, modified = ? \
                        WHERE id = ? AND owner = ? AND status = 1 RETURNING id";
            let (until, position) = (after(now, *lease), position.clone().into());
            let (id, owner) = (id.clone().into(), owner.clone().into());
            with(
                text,
                [until, position, count(*done), count(*total), now.into(), id, owner],
            )
        }
        JobChange::End {
            id,
            owner,
            status,
            problem,
        } => {
            let text = "UPDATE job SET status = ?, problem = ?, ended = ?, modified = ? \
                        WHERE id = ? AND owner = ? AND status = 1 RETURNING id";
            let (status, problem) = (status.number().into(), problem.clone().into());
            let (id, owner) = (id.clone().into(), owner.clone().into());
            with(text, [status, problem, now.into(), now.into(), id, owner])
        }
        JobChange::Cancel { id } => {
            let text = "UPDATE job SET status = 4, ended = ?, modified = ? WHERE id = ? AND status < 2 RETURNING id";
            with(text, [now.into(), now.into(), id.clone().into()])
        }
        JobChange::Amend { id, input } => {
            let text = "UPDATE job SET input = ?, modified = ? WHERE id = ? AND status < 2 RETURNING id";
            with(text, [input.clone().into(), now.into(), id.clone().into()])
        }
    })
}
