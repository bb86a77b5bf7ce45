//! Background work.

use fhir_resource::Micros;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::job::{Job, JobChange, JobStatus, NewJob};
use crate::sql::dialect::Dialect;
use crate::sql::{Sql, jobs};

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

fn one(connection: &Connection, statement: Sql) -> rusqlite::Result<Option<Job>> {
    let mut select = connection.prepare_cached(&statement.text)?;
    select.query_row(params_from_iter(statement.arguments), of).optional()
}

/// One job.
pub fn read(connection: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    one(connection, jobs::one(id))
}

/// The jobs of a kind, those that are open first, then the latest.
pub fn list(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<Job>> {
    let statement = jobs::list(kind);
    let mut select = connection.prepare_cached(&statement.text)?;
    select.query_map(params_from_iter(statement.arguments), of)?.collect()
}

/// No server but this one works at jobs: what one that died had taken is free.
pub fn release(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE job SET leased = 0 WHERE status = 1", [])?;
    Ok(())
}

/// When the next job of a kind is due, if one waits.
pub fn due(connection: &Connection, kind: &str) -> rusqlite::Result<Option<Micros>> {
    let statement = jobs::due(kind);
    let mut select = connection.prepare_cached(&statement.text)?;
    select.query_row(params_from_iter(statement.arguments), |row| row.get(0))
}

/// Puts a job in the queue.
pub fn add(connection: &Connection, job: &NewJob, now: Micros) -> rusqlite::Result<Option<Job>> {
    if job.merges {
        let waiting = one(connection, jobs::waiting(job.kind))?;
        if waiting.is_some() {
            return Ok(waiting);
        }
    }
    let statement = jobs::add(job, now);
    connection
        .prepare_cached(&statement.text)?
        .execute(params_from_iter(statement.arguments))?;
    read(connection, &job.id)
}

/// Does what is asked for and gives the job as it is then; `None`: there is none that it may be done to.
pub fn change(connection: &Connection, change: &JobChange, now: Micros) -> rusqlite::Result<Option<Job>> {
    let statement = match jobs::change(Dialect::Sqlite, change, now) {
        Ok(statement) => statement,
        Err(job) => return add(connection, job, now),
    };
    let mut update = connection.prepare_cached(&statement.text)?;
    let id: Option<String> = update
        .query_row(params_from_iter(statement.arguments), |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| read(connection, &id))
}
