//! The schema and its migrations: numbered, forward only. A database that is newer than this program is refused.

use sqlx::{Connection as _, PgConnection, Row as _};

use super::value;
use crate::error::OpenError;
use crate::sql::Sql;

/// The newest schema that this program knows.
pub const CURRENT: u32 = 4;

/// What each number adds to the one before.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
];

/// Only one replica migrates at a time: the lock's number is "fhir" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1718118770)";

/// Begins a transaction that no other replica is in, and brings the database to the newest schema in it; `version` is the
/// FHIR version that a new one gets.
pub async fn migrate<'a>(
    connection: &'a mut PgConnection,
    version: &str,
) -> Result<sqlx::Transaction<'a, sqlx::Postgres>, OpenError> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    let there: bool = sqlx::query("SELECT to_regclass('service') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
    let found = if there {
        let row = sqlx::query("SELECT schema, fhir_version FROM service")
            .fetch_one(&mut *transaction)
            .await?;
        let stored: String = row.try_get(1)?;
        if stored != version {
            return Err(OpenError::OtherVersion {
                stored,
                asked: version.to_owned(),
            });
        }
        u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or(u32::MAX)
    } else {
        0
    };
    if found > CURRENT {
        return Err(OpenError::Newer { found, known: CURRENT });
    }
    let done = usize::try_from(found).unwrap_or(MIGRATIONS.len());
    for script in &MIGRATIONS[done..] {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
    }
    if found == 0 {
        let mut new = Sql::with(
            "INSERT INTO service (one, schema, fhir_version, clock, next_pk, generation, next_definition) \
             VALUES (1, ?, ?, 0, 1, 0, 1)",
            i64::from(CURRENT),
        );
        new.bind(version.to_owned());
        value::query(new).execute(&mut *transaction).await?;
    } else if found < CURRENT {
        let newest = Sql::with("UPDATE service SET schema = ?", i64::from(CURRENT));
        value::query(newest).execute(&mut *transaction).await?;
    }
    Ok(transaction)
}
