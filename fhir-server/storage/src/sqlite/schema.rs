//! The schema and its migrations: numbered, forward only. A database that is newer than this program is refused.

use rusqlite::Connection;

use crate::error::OpenError;

/// The newest schema that this program knows.
pub const CURRENT: u32 = 6;

/// What each number adds to the one before.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
];

/// Brings the database to the newest schema; `version` is the FHIR version that a new one gets.
pub fn migrate(connection: &mut Connection, version: &str) -> Result<(), OpenError> {
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
