//! Background work.

use std::time::Duration;

use fhir_resource::Micros;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::job::{Job, JobChange, JobStatus, NewJob};

const COLUMNS: &str = "id, kind, status, input, position, done, total, problem, queued, started, ended, modified";
/// Jobs that are listed at most, the latest ones.
const LISTED: u32 = 100;

fn of(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        status: JobStatus::of(row.get(2)?),
        input: row.get(3)?,
        position: row.get(4)?,
        done: row.get::<_, i64>(5)?.unsigned_abs(),
        total: row.get::<_, i64>(6)?.unsigned_abs(),
        problem: row.get(7)?,
        queued: row.get(8)?,
        started: row.get(9)?,
        ended: row.get(10)?,
        modified: row.get(11)?,
    })
}

/// One job.
pub fn read(connection: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM job WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], of).optional()
}

/// The jobs of a kind, those that are open first, then the latest.
pub fn list(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<Job>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM job WHERE kind = ?1 ORDER BY status > 1, CASE WHEN status > 1 THEN -queued ELSE queued END \
         LIMIT {LISTED}"
    );
    connection.prepare_cached(&sql)?.query_map([kind], of)?.collect()
}

/// No server but this one works at jobs: what one that died had taken is free.
pub fn release(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE job SET leased = 0 WHERE status = 1", [])?;
    Ok(())
}

/// When the next job of a kind is due, if one waits.
pub fn due(connection: &Connection, kind: &str) -> rusqlite::Result<Option<Micros>> {
    let sql = "SELECT min(due) FROM job WHERE kind = ?1 AND status = 0";
    connection.prepare_cached(sql)?.query_row([kind], |row| row.get(0))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// Puts a job in the queue.
pub fn add(connection: &Connection, job: &NewJob, now: Micros) -> rusqlite::Result<Option<Job>> {
    if job.merges {
        let sql = format!("SELECT {COLUMNS} FROM job WHERE kind = ?1 AND status = 0 ORDER BY queued LIMIT 1");
        let waiting = connection.prepare_cached(&sql)?.query_row([job.kind], of).optional()?;
        if waiting.is_some() {
            return Ok(waiting);
        }
    }
    let insert = "INSERT INTO job (id, kind, status, input, queued, due, modified) VALUES (?1, ?2, 0, ?3, ?4, ?5, ?4)";
    let due = now.saturating_add(micros(job.after));
    connection
        .prepare_cached(insert)?
        .execute((&job.id, job.kind, &job.input, now, due))?;
    read(connection, &job.id)
}

/// Does what is asked for and gives the job as it is then; `None`: there is none that it may be done to.
pub fn change(connection: &Connection, change: &JobChange, now: Micros) -> rusqlite::Result<Option<Job>> {
    let changed = match change {
        JobChange::Add(job) => return add(connection, job, now),
        JobChange::Claim { kind, owner, lease } => {
            let sql = "UPDATE job SET status = 1, owner = ?2, leased = ?3, started = coalesce(started, ?4), modified = ?4 \
                       WHERE id = (SELECT id FROM job WHERE kind = ?1 AND ((status = 0 AND due <= ?4) OR \
                       (status = 1 AND leased <= ?4)) ORDER BY queued LIMIT 1) RETURNING id";
            let arguments = (kind, owner, now.saturating_add(micros(*lease)), now);
            connection.prepare_cached(sql)?.query_row(arguments, |row| row.get(0))
        }
        JobChange::Advance {
            id,
            owner,
            lease,
            position,
            done,
            total,
        } => {
            let sql = "UPDATE job SET leased = ?3, position = ?4, done = ?5, total = ?6, modified = ?7 \
                       WHERE id = ?1 AND owner = ?2 AND status = 1 RETURNING id";
            let until = now.saturating_add(micros(*lease));
            let arguments = (id, owner, until, position, count(*done), count(*total), now);
            connection.prepare_cached(sql)?.query_row(arguments, |row| row.get(0))
        }
        JobChange::End {
            id,
            owner,
            status,
            problem,
        } => {
            let sql = "UPDATE job SET status = ?3, problem = ?4, ended = ?5, modified = ?5 \
                       WHERE id = ?1 AND owner = ?2 AND status = 1 RETURNING id";
            let arguments = (id, owner, status.number(), problem, now);
            connection.prepare_cached(sql)?.query_row(arguments, |row| row.get(0))
        }
        JobChange::Cancel { id } => {
            let sql = "UPDATE job SET status = 4, ended = ?2, modified = ?2 WHERE id = ?1 AND status < 2 RETURNING id";
            connection.prepare_cached(sql)?.query_row((id, now), |row| row.get(0))
        }
        JobChange::Amend { id, input } => {
            let sql = "UPDATE job SET input = ?2, modified = ?3 WHERE id = ?1 AND status < 2 RETURNING id";
            connection
                .prepare_cached(sql)?
                .query_row((id, input, now), |row| row.get(0))
        }
    };
    let id: Option<String> = changed.optional()?;
    id.map_or(Ok(None), |id| read(connection, &id))
}
