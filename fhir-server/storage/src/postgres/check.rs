//! `check`: whether the database agrees with itself.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::definitions;
use super::rows::{self, Columns};
use super::texts::{Texts, Wanted};
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::check::{COUNT_OWNED, CheckReport, Extract, NO_TEXT, RULES};
use crate::error::ReadError;
use crate::rows::Rows;

/// Bodies that are unpacked at a time.
const PAGE: i64 = 500;

/// Runs every rule and unpacks every body, all of one moment.
pub async fn run(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    extract: &Extract,
) -> Result<CheckReport, ReadError> {
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
    compare(connection, catalogue, extract, &mut report).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(report)
}

/// Makes the keys of every resource again and compares them with its rows, but for search parameters whose rows come or
/// go at the moment.
async fn compare(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    extract: &Extract,
    report: &mut CheckReport,
) -> Result<(), ReadError> {
    let unsettled = definitions::read(connection).await?.unsettled();
    let texts = Texts::default();
    let mut pk = 0_i64;
    let (mut owned, mut there) = (0, 0);
    loop {
        let sql = format!(
            "SELECT pk, type, id, dict, body FROM res WHERE body IS NOT NULL AND pk > $1 ORDER BY pk LIMIT {PAGE}"
        );
        let page = sqlx::query(AssertSqlSafe(sql)).bind(pk);
        let page = page.fetch_all(&mut *connection).await?;
        let mut keys = Vec::with_capacity(page.len());
        for row in &page {
            pk = row.try_get(0)?;
            let (number, id): (i64, String) = (row.try_get::<i16, _>(1)?.into(), row.try_get(2)?);
            let of = catalogue.type_name(number);
            let body: Vec<u8> = row.try_get(4)?;
            let dictionary = row.try_get::<i16, _>(3)?.into();
            // a body that can't be unpacked is told of already
            let Ok(stored) = bodies::unpack(&body, dictionary, || format!("{of}/{id}")) else {
                continue;
            };
            match extract(of, &stored) {
                Some(own) => keys.push((pk, number, id, own)),
                None => report.problems.push(format!("{of}/{id} can't be indexed")),
            }
        }
        let mut wanted = Wanted::default();
        for (.., own) in &keys {
            wanted.add_keys(own);
        }
        let numbers = texts.find(connection, &wanted).await?;
        let mut found = rows::read(connection, keys.iter().map(|(pk, ..)| *pk).collect()).await?;
        let mut columns = Columns::default();
        for (pk, number, id, own) in &keys {
            let mut expected = rows::of(catalogue, *number, own, |text| numbers.get(text).unwrap_or(NO_TEXT));
            let mut found = found.remove(pk).unwrap_or_default();
            found.derive(catalogue, *number);
            expected.keep(&unsettled, false);
            found.keep(&unsettled, false);
            if expected != found {
                report.disagrees(catalogue.type_name(*number), id);
            }
            columns.add(*pk, &found, &Rows::default());
            owned += found.owned_count();
        }
        there += columns.owned_there(connection).await?;
        if page.is_empty() {
            if there < owned {
                report
                    .problems
                    .push(format!("{} rows of owners are missing", owned - there));
            }
            report.owned(owned, count(connection, COUNT_OWNED).await?);
            return Ok(());
        }
    }
}

async fn count(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<u64> {
    let row = sqlx::query(sql).fetch_optional(connection).await?;
    row.map_or(Ok(0), |row| row.try_get::<i64, _>(0).map(i64::unsigned_abs))
}
