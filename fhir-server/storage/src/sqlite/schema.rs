//! The schema and its migrations: numbered, forward only. A database that is newer than this program is refused.

use std::path::Path;

use rusqlite::Connection;

use crate::error::OpenError;

/// The newest schema that this program knows.
pub const CURRENT: u32 = 6;

/// In the header of our databases, so that no other is taken for one: `FHIR`.
const APPLICATION: i32 = 0x4648_4952;

/// What each number adds to the one before.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
];

/// Refuses a database of something else, which is left as it is. Those of early releases aren't marked.
pub fn verify(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let (tables, own): (u32, u32) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name = 'service') FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if application == APPLICATION || application == 0 && (tables == 0 || own == 1) {
        return Ok(());
    }
    Err(OpenError::Foreign(path.to_owned()))
}

/// Brings the database to the newest schema; `version` is the FHIR version that a new one gets.
pub fn migrate(connection: &mut Connection, version: &str) -> Result<(), OpenError> {
    connection.pragma_update(None, "application_id", APPLICATION)?;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > CURRENT {
        return Err(OpenError::Newer { found, known: CURRENT });
    }
    let done = usize::try_from(found).unwrap_or(MIGRATIONS.len());
    for (number, script) in (found + 1..).zip(&MIGRATIONS[done..]) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", number)?;
        if number == 1 {
            transaction.execute(
                "INSERT INTO service (one, fhir_version, clock, next_pk) VALUES (1, ?1, 0, 1)",
                [version],
            )?;
        }
        transaction.commit()?;
    }
    let stored: String = connection.query_row("SELECT fhir_version FROM service", [], |row| row.get(0))?;
    if stored != version {
        return Err(OpenError::OtherVersion {
            stored,
            asked: version.to_owned(),
        });
    }
    Ok(())
}
