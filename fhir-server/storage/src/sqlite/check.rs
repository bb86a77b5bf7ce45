//! `check`: whether the database agrees with itself.

use rusqlite::Connection;

use super::definitions;
use super::rows;
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::check::{COUNT_OWNED, CheckReport, Extract, NO_TEXT, RULES};
use crate::error::ReadError;
use crate::rows::Rows;

/// Runs every rule, unpacks every body, and lets SQLite check its own structures.
pub fn run(connection: &Connection, catalogue: &Catalogue, extract: &Extract) -> Result<CheckReport, ReadError> {
    let count = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    };
    let mut report = CheckReport {
        resources: count("SELECT count(*) FROM res WHERE body IS NOT NULL")?,
        superseded: count("SELECT count(*) FROM hist")?,
        problems: Vec::new(),
    };
    for (sql, meaning) in RULES {
        let found = match count(sql) {
            Err(rusqlite::Error::QueryReturnedNoRows) => 0,
            other => other?,
        };
        if found > 0 {
            report.problems.push(format!("{found} {meaning}"));
        }
    }
    let integrity: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if integrity != "ok" {
        report.problems.push(integrity);
    }
    for table in ["res", "hist"] {
        let mut select = connection.prepare(&format!(
            "SELECT pk, ver, dict, body FROM {table} WHERE body IS NOT NULL"
        ))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (pk, version): (i64, i64) = (row.get(0)?, row.get(1)?);
            let body: Vec<u8> = row.get(3)?;
            if let Err(error) = bodies::unpack(&body, row.get(2)?, || format!("{table} {pk} version {version}")) {
                report.problems.push(error.to_string());
            }
        }
    }
    compare(connection, catalogue, extract, &mut report)?;
    Ok(report)
}

/// Makes the keys of every resource again and compares them with its rows, but for search parameters whose rows come or
/// go at the moment.
fn compare(
    connection: &Connection,
    catalogue: &Catalogue,
    extract: &Extract,
    report: &mut CheckReport,
) -> Result<(), ReadError> {
    let unsettled = definitions::read(connection)?.unsettled();
    let mut select =
        connection.prepare("SELECT pk, type, id, dict, body FROM res WHERE body IS NOT NULL ORDER BY pk")?;
    let mut all = select.query([])?;
    let mut owned = 0;
    while let Some(row) = all.next()? {
        let (pk, id): (i64, String) = (row.get(0)?, row.get(2)?);
        let of_number = row.get(1)?;
        let of = catalogue.type_name(of_number);
        let body: Vec<u8> = row.get(4)?;
        // a body that can't be unpacked is told of already
        let Ok(stored) = bodies::unpack(&body, row.get(3)?, || format!("{of}/{id}")) else {
            continue;
        };
        let Some(keys) = extract(of, &stored) else {
            report.problems.push(format!("{of}/{id} can't be indexed"));
            continue;
        };
        let mut number = |text: &str| Ok::<_, rusqlite::Error>(rows::find(connection, text)?.unwrap_or(NO_TEXT));
        let mut expected = Rows::of(catalogue, of_number, &keys, &mut number)?;
        let mut found = Rows::read(connection, catalogue, of_number, pk)?;
        expected.keep(&unsettled, false);
        found.keep(&unsettled, false);
        if expected != found || !has_owned(connection, &found, pk)? {
            report.disagrees(of, &id);
        }
        owned += found.owned_count();
    }
    let there = connection.query_row(COUNT_OWNED, [], |row| row.get::<_, i64>(0))?;
    report.owned(owned, there.unsigned_abs());
    Ok(())
}

/// Whether the rows that are made of others are there.
fn has_owned(connection: &Connection, rows: &Rows, pk: i64) -> rusqlite::Result<bool> {
    let mut dates = connection.prepare_cached(
        "SELECT 1 FROM ix_owner_date WHERE param = ?1 AND owner = ?2 AND long = ?3 AND hi = ?4 AND pk = ?5 AND lo = ?6 \
         AND via = ?7",
    )?;
    for row in &rows.owner_dates {
        if !dates.exists((row.param, row.owner, row.long, row.high, pk, row.low, row.via))? {
            return Ok(false);
        }
    }
    let mut exact = connection.prepare_cached(
        "SELECT 1 FROM ix_owner_exact WHERE param = ?1 AND val = ?2 AND owner = ?3 AND pk = ?4 AND via = ?5",
    )?;
    for row in &rows.owner_exact {
        if !exact.exists((row.param, row.value, row.owner, pk, row.via))? {
            return Ok(false);
        }
    }
    Ok(true)
}
