//! What SQLite does, counted for benchmarks. A program asks for it before it opens a database; where none has, nothing
//! is counted and nothing is paid for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};

static IS_WANTED: AtomicBool = AtomicBool::new(false);
static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static STEPS: AtomicU64 = AtomicU64::new(0);
static ROWS: AtomicU64 = AtomicU64::new(0);

/// What the databases of this process have done since they were opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Statements that ran to their end.
    pub statements: u64,
    /// Steps of SQLite's machine: some ten for each row of a table or an index that is looked at.
    pub steps: u64,
    /// Rows that were inserted, changed or deleted, one for each table.
    pub rows: u64,
}

impl Counts {
    /// Counts from now on, for databases that are opened from now on.
    pub fn begin() {
        IS_WANTED.store(true, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn now() -> Self {
        Self {
            statements: STATEMENTS.load(Ordering::Relaxed),
            steps: STEPS.load(Ordering::Relaxed),
            rows: ROWS.load(Ordering::Relaxed),
        }
    }
}

/// Counts a connection's statements, if that is wanted.
pub(super) fn follow(connection: &mut Connection) -> rusqlite::Result<()> {
    if !IS_WANTED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // SQLite adds up the steps of all runs of a prepared statement, and begins again where it prepares it again
    let mut seen: HashMap<String, u64> = HashMap::new();
    let count = move |event: TraceEvent<'_>| {
        let TraceEvent::Profile(statement, _) = event else {
            return;
        };
        let steps = u64::from(statement.get_status(StatementStatus::VmStep).unsigned_abs());
        let before = seen.insert(statement.sql().into_owned(), steps).unwrap_or(0);
        STATEMENTS.fetch_add(1, Ordering::Relaxed);
        STEPS.fetch_add(steps.checked_sub(before).unwrap_or(steps), Ordering::Relaxed);
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(count))
}

/// Adds the rows that the writer has changed since the last time, if that is wanted.
pub(super) fn rows(connection: &Connection) {
    if IS_WANTED.load(Ordering::Relaxed) {
        ROWS.store(connection.total_changes(), Ordering::Relaxed);
    }
}
