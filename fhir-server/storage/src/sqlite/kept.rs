//! Keys of continuation tokens, and queries that links name.

use fhir_resource::Micros;
use rusqlite::{Connection, OptionalExtension};

use crate::kept::{KeptQuery, PageKey};

/// Keys that are kept: the one that seals and the one before.
const KEYS: i64 = 2;

/// The keys, the newest one first.
pub fn keys(connection: &Connection) -> rusqlite::Result<Vec<PageKey>> {
    let mut select = connection.prepare_cached("SELECT id, made, secret FROM page_key ORDER BY id DESC")?;
    let keys = select.query_map([], |row| {
        Ok(PageKey {
            id: row.get(0)?,
            made: row.get(1)?,
            secret: row.get(2)?,
        })
    })?;
    keys.collect()
}

/// Adds a key unless one was made after `since`.
pub fn renew(connection: &Connection, key: &PageKey, since: Micros) -> rusqlite::Result<()> {
    let newest: Option<Micros> = connection.query_row("SELECT max(made) FROM page_key", [], |row| row.get(0))?;
    if newest.is_some_and(|newest| newest > since) {
        return Ok(());
    }
    connection.execute(
        "INSERT INTO page_key (made, secret) VALUES (?1, ?2)",
        (key.made, key.secret),
    )?;
    connection.execute(
        "DELETE FROM page_key WHERE id <= (SELECT max(id) FROM page_key) - ?1",
        [KEYS],
    )?;
    Ok(())
}

/// A query, by its name.
pub fn query(connection: &Connection, name: &str) -> rusqlite::Result<Option<KeptQuery>> {
    let mut select = connection.prepare_cached("SELECT name, owner, text, until FROM kept_query WHERE name = ?1")?;
    let found = select.query_row([name], |row| {
        Ok(KeptQuery {
            name: row.get(0)?,
            owner: row.get(1)?,
            text: row.get(2)?,
            until: row.get(3)?,
        })
    });
    found.optional()
}

/// Keeps a query, and forgets those whose time is over.
pub fn keep(connection: &Connection, query: &KeptQuery, now: Micros) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM kept_query WHERE until < ?1", [now])?;
    connection.execute(
        "INSERT OR REPLACE INTO kept_query (name, owner, text, until) VALUES (?1, ?2, ?3, ?4)",
        (&query.name, &query.owner, &query.text, query.until),
    )?;
    Ok(())
}
