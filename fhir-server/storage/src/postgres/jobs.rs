//! Background work. Times are the database's: replicas agree on them.

use fhir_resource::Micros;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::value;
use crate::job::{Job, JobChange, JobStatus, NewJob};
use crate::sql::dialect::Dialect;
use crate::sql::jobs;

/// Whoever adds a job holds this until it is there: of two that merge the second one sees the first.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1718118771)";

fn of(row: &PgRow) -> sqlx::Result<Job> {
    Ok(Job {
        id: row.try_get(0)?,
        kind: row.try_get(1)?,
        status: JobStatus::of(row.try_get(2)?),
        input: row.try_get(3)?,
        position: row.try_get(4)?,
        done: row.try_get::<i64, _>(5)?.unsigned_abs(),
        total: row.try_get::<i64, _>(6)?.unsigned_abs(),
        problem: row.try_get(7)?,
        queued: row.try_get(8)?,
        started: row.try_get(9)?,
        ended: row.try_get(10)?,
        modified: row.try_get(11)?,
    })
}

/// One job.
pub async fn read(connection: &mut PgConnection, id: &str) -> sqlx::Result<Option<Job>> {
    let row = value::query(jobs::one(id)).fetch_optional(connection).await?;
    row.as_ref().map(of).transpose()
}

/// The jobs of a kind, those that are open first, then the latest.
pub async fn list(connection: &mut PgConnection, kind: &str) -> sqlx::Result<Vec<Job>> {
    let rows = value::query(jobs::list(kind)).fetch_all(connection).await?;
    rows.iter().map(of).collect()
}

/// When the next job of a kind is due, if one waits.
pub async fn due(connection: &mut PgConnection, kind: &str) -> sqlx::Result<Option<Micros>> {
    value::query(jobs::due(kind)).fetch_one(connection).await?.try_get(0)
}

/// The database's time.
pub async fn now(connection: &mut PgConnection) -> sqlx::Result<Micros> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

/// Puts a job in the queue, within a transaction.
pub async fn add(connection: &mut PgConnection, job: &NewJob, now: Micros) -> sqlx::Result<Option<Job>> {
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    if job.merges {
        let waiting = value::query(jobs::waiting(job.kind));
        if let Some(row) = waiting.fetch_optional(&mut *connection).await? {
            return of(&row).map(Some);
        }
    }
    value::query(jobs::add(job, now)).execute(&mut *connection).await?;
    read(connection, &job.id).await
}

/// Does what is asked for and gives the job as it is then; `None`: there is none that it may be done to.
pub async fn change(connection: &mut PgConnection, change: &JobChange) -> sqlx::Result<Option<Job>> {
    let now = now(connection).await?;
    let statement = match jobs::change(Dialect::Postgres, change, now) {
        Ok(statement) => statement,
        Err(job) => {
            sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
            let added = add(connection, job, now).await?;
            sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            return Ok(added);
        }
    };
    let Some(row) = value::query(statement).fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let id: String = row.try_get(0)?;
    read(connection, &id).await
}
