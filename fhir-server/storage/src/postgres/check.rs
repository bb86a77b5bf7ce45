//! `check`: whether the database agrees with itself.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::bodies;
use crate::check::{CheckReport, RULES};
use crate::error::ReadError;

/// Bodies that are unpacked at a time.
const PAGE: i64 = 500;

/// Runs every rule and unpacks every body, all of one moment.
pub async fn run(connection: &mut PgConnection) -> Result<CheckReport, ReadError> {
    // rules join whole tables, which searches never do
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
         SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on";
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let mut report = CheckReport {
        resources: count(connection, "SELECT count(*) FROM res WHERE body IS NOT NULL").await?,
        superseded: count(connection, "SELECT count(*) FROM hist").await?,
        problems: Vec::new(),
    };
    for (sql, meaning) in RULES {
        let found = count(connection, sql).await?;
        if found > 0 {
            report.problems.push(format!("{found} {meaning}"));
        }
    }
    for table in ["res", "hist"] {
        let (mut pk, mut version) = (0_i64, 0_i32);
        loop {
            let sql = format!(
                "SELECT pk, ver, dict, body FROM {table} WHERE body IS NOT NULL AND (pk, ver) > ($1, $2) \
                 ORDER BY pk, ver LIMIT {PAGE}"
            );
            let rows = sqlx::query(AssertSqlSafe(sql)).bind(pk).bind(version);
            let rows = rows.fetch_all(&mut *connection).await?;
            for row in &rows {
                (pk, version) = (row.try_get(0)?, row.try_get(1)?);
                let body: Vec<u8> = row.try_get(3)?;
                let dictionary = row.try_get::<i16, _>(2)?.into();
                if let Err(error) = bodies::unpack(&body, dictionary, || format!("{table} {pk} version {version}")) {
                    report.problems.push(error.to_string());
                }
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(report)
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<u64> {
    let row = sqlx::query(sql).fetch_optional(connection).await?;
    row.map_or(Ok(0), |row| row.try_get::<i64, _>(0).map(i64::unsigned_abs))
}
