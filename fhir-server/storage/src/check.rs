//! `check`: whether the database agrees with itself.

use rusqlite::Connection;

use crate::bodies;
use crate::error::ReadError;

/// What a check found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Live resources.
    pub resources: u64,
    /// Superseded versions.
    pub superseded: u64,
    /// What is wrong; empty: nothing.
    pub problems: Vec<String>,
}

/// Questions that must find nothing, and what it means if they do.
const RULES: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM res WHERE upd > (SELECT clock FROM service)",
        "resources are newer than the clock",
    ),
    (
        "SELECT count(*) FROM res WHERE pk >= (SELECT next_pk FROM service)",
        "resources have numbers that aren't given yet",
    ),
    (
        "SELECT count(*) FROM (SELECT upd FROM res UNION ALL SELECT upd FROM hist) GROUP BY upd HAVING count(*) > 1 LIMIT 1",
        "versions share a time",
    ),
    (
        "SELECT count(*) FROM res WHERE (body IS NULL) != (kind = 2)",
        "resources are neither deleted nor there",
    ),
    (
        "SELECT count(*) FROM res r WHERE ver > 1 AND NOT EXISTS (SELECT 1 FROM hist h WHERE h.pk = r.pk AND h.ver = r.ver - 1)",
        "resources lack their last superseded version",
    ),
    (
        "SELECT count(*) FROM hist h WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = h.pk AND r.ver > h.ver)",
        "superseded versions have no current one",
    ),
    (
        "SELECT count(*) FROM ix_exact x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "exact keys belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_exact x WHERE NOT EXISTS (SELECT 1 FROM val v WHERE v.id = x.val)",
        "exact keys have no text",
    ),
    (
        "SELECT count(*) FROM ix_date x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "dates belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_number x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "numbers belong to no resource",
    ),
    (
        "SELECT count(*) FROM ix_string x WHERE NOT EXISTS (SELECT 1 FROM res r WHERE r.pk = x.pk AND r.body IS NOT NULL)",
        "strings belong to no resource",
    ),
];

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
