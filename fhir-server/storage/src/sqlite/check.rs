//! `check`: whether the database agrees with itself.

use rusqlite::Connection;

use crate::bodies;
use crate::check::{CheckReport, RULES};
use crate::error::ReadError;

/// Runs every rule, unpacks every body, and lets SQLite check its own structures.
pub fn run(connection: &Connection) -> Result<CheckReport, ReadError> {
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
    Ok(report)
}
