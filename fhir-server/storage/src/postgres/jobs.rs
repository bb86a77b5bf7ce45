//! Background work. Times are the database's: replicas agree on them.

use std::time::Duration;

use fhir_resource::Micros;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::job::{Job, JobChange, JobStatus, NewJob};

const COLUMNS: &str = "id, kind, status, input, position, done, total, problem, queued, started, ended, modified";
/// Jobs that are listed at most, the latest ones.
const LISTED: u32 = 100;
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
    let sql = format!("SELECT {COLUMNS} FROM job WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(of).transpose()
}

/// The jobs of a kind, those that are open first, then the latest.
pub async fn list(connection: &mut PgConnection, kind: &str) -> sqlx::Result<Vec<Job>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM job WHERE kind = $1 \
         ORDER BY status > 1, CASE WHEN status > 1 THEN -queued ELSE queued END LIMIT {LISTED}"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(kind).fetch_all(connection).await?;
    rows.iter().map(of).collect()
}

/// When the next job of a kind is due, if one waits.
pub async fn due(connection: &mut PgConnection, kind: &str) -> sqlx::Result<Option<Micros>> {
    let sql = "SELECT min(due) FROM job WHERE kind = $1 AND status = 0";
    sqlx::query(sql).bind(kind).fetch_one(connection).await?.try_get(0)
}

/// The database's time.
pub async fn now(connection: &mut PgConnection) -> sqlx::Result<Micros> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// Puts a job in the queue, within a transaction.
pub async fn add(connection: &mut PgConnection, job: &NewJob, now: Micros) -> sqlx::Result<Option<Job>> {
    sqlx::raw_sql(LOCK).execute(&mut *connection).await?;
    if job.merges {
        let sql = format!("SELECT {COLUMNS} FROM job WHERE kind = $1 AND status = 0 ORDER BY queued LIMIT 1");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(job.kind);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            return of(&row).map(Some);
        }
    }
    sqlx::query("INSERT INTO job (id, kind, status, input, queued, due, modified) VALUES ($1, $2, 0, $3, $4, $5, $4)")
        .bind(&job.id)
        .bind(job.kind)
        .bind(&job.input)
        .bind(now)
        .bind(now.saturating_add(micros(job.after)))
        .execute(&mut *connection)
        .await?;
    read(connection, &job.id).await
}

/// Does what is asked for and gives the job as it is then; `None`: there is none that it may be done to.
pub async fn change(connection: &mut PgConnection, change: &JobChange) -> sqlx::Result<Option<Job>> {
    let now = now(connection).await?;
    let query = match change {
        JobChange::Add(job) => {
            sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
            let added = add(connection, job, now).await?;
            sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            return Ok(added);
        }
        JobChange::Claim { kind, owner, lease } => {
            let sql = "UPDATE job SET status = 1, owner = $2, leased = $3, started = coalesce(started, $4), modified = $4 \
                 WHERE id = (SELECT id FROM job WHERE kind = $1 AND ((status = 0 AND due <= $4) OR \
                 (status = 1 AND leased <= $4)) ORDER BY queued LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id";
            let until = now.saturating_add(micros(*lease));
            sqlx::query(sql).bind(*kind).bind(owner.clone()).bind(until).bind(now)
        }
        JobChange::Advance {
            id,
            owner,
            lease,
            position,
            done,
            total,
        } => {
            let sql = "UPDATE job SET leased = $3, position = $4, done = $5, total = $6, modified = $7 \
                 WHERE id = $1 AND owner = $2 AND status = 1 RETURNING id";
            let until = now.saturating_add(micros(*lease));
            let query = sqlx::query(sql).bind(id.clone()).bind(owner.clone()).bind(until);
            query
                .bind(position.clone())
                .bind(count(*done))
                .bind(count(*total))
                .bind(now)
        }
        JobChange::End {
            id,
            owner,
            status,
            problem,
        } => {
            let sql = "UPDATE job SET status = $3, problem = $4, ended = $5, modified = $5 \
                 WHERE id = $1 AND owner = $2 AND status = 1 RETURNING id";
            let query = sqlx::query(sql).bind(id.clone()).bind(owner.clone());
            query.bind(status.number()).bind(problem.clone()).bind(now)
        }
        JobChange::Cancel { id } => {
            let sql = "UPDATE job SET status = 4, ended = $2, modified = $2 WHERE id = $1 AND status < 2 RETURNING id";
            sqlx::query(sql).bind(id.clone()).bind(now)
        }
        JobChange::Amend { id, input } => {
            let sql = "UPDATE job SET input = $2, modified = $3 WHERE id = $1 AND status < 2 RETURNING id";
            sqlx::query(sql).bind(id.clone()).bind(input.clone()).bind(now)
        }
    };
    let Some(row) = query.fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let id: String = row.try_get(0)?;
    read(connection, &id).await
}
