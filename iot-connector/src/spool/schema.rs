//! The tables, and how SQLite is set up.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU64},
    },
};

use rusqlite::Connection;

use super::{Account, Figures, SpoolError, Term};

/// In the header of a spool's file, so that no other database is taken for one: `FIoT`.
const APPLICATION: i32 = 0x4649_6F54;
/// Raised with every change of the tables.
const VERSION: i64 = 4;

const TABLES: &str = "
    CREATE TABLE messages (
        seq      INTEGER PRIMARY KEY AUTOINCREMENT,
        queued   INTEGER NOT NULL,
        received INTEGER NOT NULL,
        position INTEGER,            -- of a replay: its first seq
        body     BLOB    NOT NULL,
        context  TEXT    NOT NULL
    ) STRICT;
    CREATE TABLE dead_letters (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        died     INTEGER NOT NULL,
        received INTEGER NOT NULL,
        position INTEGER NOT NULL,
        stage    TEXT    NOT NULL,
        reason   TEXT    NOT NULL,
        detail   TEXT    NOT NULL,
        template TEXT,
        path     TEXT,
        body     BLOB    NOT NULL,
        context  TEXT    NOT NULL
    ) STRICT;
    CREATE TABLE account (term TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE figures (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// What was taken in from a source or with an idempotency key, the latest of each source.
const SEEN: &str = "
    CREATE TABLE seen (
        seq    INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT    NOT NULL,
        id     BLOB    NOT NULL,
        digest BLOB,                 -- of a request: what was sent with the key
        count  INTEGER NOT NULL,     -- messages taken in with it
        UNIQUE (source, id)
    ) STRICT;
    CREATE INDEX seen_by_age ON seen (source, seq);
";

/// What became of the latest messages, and the first id of a request's.
const TRACES: &str = "
    CREATE TABLE traces (
        place    INTEGER PRIMARY KEY, -- in the order of their end
        position INTEGER NOT NULL UNIQUE, -- the message's first seq
        received INTEGER NOT NULL,
        finished INTEGER NOT NULL,
        mapping  TEXT    NOT NULL,
        outcome  TEXT    NOT NULL,    -- JSON
        body     BLOB,
        context  TEXT
    ) STRICT;
    CREATE INDEX messages_replayed ON messages (position) WHERE position IS NOT NULL;
    CREATE INDEX dead_letters_of_message ON dead_letters (position);
    ALTER TABLE seen ADD COLUMN first INTEGER;
";

/// Where the reading of a source's partitions goes on.
const OFFSETS: &str = "
    CREATE TABLE offsets (
        source    TEXT    NOT NULL,
        partition TEXT    NOT NULL,
        next      INTEGER NOT NULL,
        PRIMARY KEY (source, partition)
    ) STRICT, WITHOUT ROWID;
";

pub(super) fn configure(connection: &Connection) -> Result<(), SpoolError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "busy_timeout", 5000)?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(())
}

pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), SpoolError> {
    if !is_ours(connection)? {
        return Err(SpoolError::Foreign { path: path.to_owned() });
    }
    configure(connection)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        VERSION => Ok(()),
        0..VERSION => {
            let transaction = connection.transaction()?;
            let steps = [TABLES, SEEN, TRACES, OFFSETS];
            for step in steps.iter().skip(usize::try_from(found).unwrap_or_default()) {
                transaction.execute_batch(step)?;
            }
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
            Ok(())
        }
        _ => Err(SpoolError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}

/// Whether the file is a spool, or empty. Those of early releases aren't marked.
fn is_ours(connection: &Connection) -> Result<bool, SpoolError> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let (tables, own): (u32, u32) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('messages', 'dead_letters', 'account', 'figures')) FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(application == APPLICATION || application == 0 && (tables == 0 || own == 4))
}

pub(super) fn figures(connection: &Connection) -> Result<Figures, SpoolError> {
    let count = |sql: &str| -> Result<u64, SpoolError> {
        let value: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(value.unsigned_abs())
    };
    let mut account = Account::default();
    let mut statement = connection.prepare("SELECT term, count FROM account")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for row in rows {
        let (name, value) = row?;
        if let Some(term) = Term::ALL.into_iter().find(|term| term.name() == name) {
            account.add(term, value.unsigned_abs());
        }
    }
    let last = connection.query_row(
        "SELECT coalesce(max(value), 0) FROM figures WHERE name = 'last_received'",
        [],
        |row| row.get(0),
    )?;
    Ok(Figures {
        messages: AtomicU64::new(count("SELECT count(*) FROM messages")?),
        bytes: AtomicU64::new(count(
            "SELECT coalesce(sum(length(body) + length(context)), 0) FROM messages",
        )?),
        dead_letters: AtomicU64::new(count("SELECT count(*) FROM dead_letters")?),
        dead_bytes: AtomicU64::new(count(
            "SELECT coalesce(sum(length(body) + length(context)), 0) FROM dead_letters",
        )?),
        last_received: AtomicI64::new(last),
        account: Mutex::new(account),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(folder: &tempfile::TempDir, script: &str) -> Connection {
        let path = folder.path().join("file");
        let _ = std::fs::remove_file(&path);
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(script).unwrap();
        connection
    }

    #[test]
    fn only_a_spool_or_an_empty_file_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let early = format!("{TABLES} PRAGMA user_version = 1;");
        for usable in ["", &early] {
            let mut connection = database(&folder, usable);
            prepare(&mut connection, Path::new("file")).unwrap();
            prepare(&mut connection, Path::new("file")).unwrap();
            let mark: i32 = connection
                .query_row("PRAGMA application_id", [], |row| row.get(0))
                .unwrap();
            assert_eq!(mark, APPLICATION);
        }
        for foreign in [
            "CREATE TABLE people (name TEXT);",
            "CREATE TABLE messages (text TEXT); PRAGMA user_version = 4;",
            "PRAGMA application_id = 1;",
        ] {
            let mut connection = database(&folder, foreign);
            let error = prepare(&mut connection, Path::new("file")).unwrap_err();
            assert!(matches!(error, SpoolError::Foreign { .. }), "{foreign}: {error}");
            let mode: String = connection
                .query_row("PRAGMA journal_mode", [], |row| row.get(0))
                .unwrap();
            assert_eq!(mode, "delete", "{foreign}: it is left as it was");
        }
    }
}
