//! A connection for reading that stops where an answer would take too long: nobody waits for it then, and a search that
//! went on would keep others from theirs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

use crate::store::Effort;

/// Steps of SQLite's machine between two looks at what is left.
const STEPS: i32 = 2_000;
/// What a little effort may cost, in steps: about a millisecond.
const LITTLE: i64 = 30_000;

/// What an answer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So little that a thread which serves others may do it.
    Little,
    /// As much as was asked for.
    Effort(Effort),
}

/// A connection, used by one at a time.
#[derive(Debug)]
pub struct Reader {
    connection: Mutex<Connection>,
    limits: Arc<Limits>,
}

#[derive(Debug)]
struct Limits {
    steps: AtomicI64,
    until: Mutex<Option<Instant>>,
}

impl Reader {
    pub fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        let limits = Arc::new(Limits {
            steps: AtomicI64::new(i64::MAX),
            until: Mutex::new(None),
        });
        let seen = Arc::clone(&limits);
        connection.progress_handler(STEPS, Some(move || seen.are_reached()))?;
        Ok(Self {
            connection: Mutex::new(connection),
            limits,
        })
    }

    /// The connection, when nobody else has it.
    pub fn take(&self, limit: Limit) -> Taken<'_> {
        self.limited(lock(&self.connection), limit)
    }

    /// The connection, if nobody else has it.
    pub fn try_take(&self, limit: Limit) -> Option<Taken<'_>> {
        let connection = self.connection.try_lock().ok()?;
        Some(self.limited(connection, limit))
    }

    /// Lets go of the database, unless somebody reads: nobody waits for them. What is asked later finds nothing.
    pub fn close(&self) {
        if let Ok(mut connection) = self.connection.try_lock()
            && let Ok(nothing) = Connection::open_in_memory()
        {
            *connection = nothing;
        }
    }

    fn limited<'a>(&'a self, connection: MutexGuard<'a, Connection>, limit: Limit) -> Taken<'a> {
        let (steps, until) = match limit {
            Limit::Little => (LITTLE, None),
            Limit::Effort(Effort::Until(moment)) => (i64::MAX, Some(moment)),
            Limit::Effort(Effort::Any) => (i64::MAX, None),
        };
        self.limits.steps.store(steps, Ordering::Relaxed);
        *lock(&self.limits.until) = until;
        Taken(connection)
    }
}

/// A connection in use.
pub struct Taken<'a>(MutexGuard<'a, Connection>);

impl std::ops::Deref for Taken<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Limits {
    fn are_reached(&self) -> bool {
        let left = self.steps.fetch_sub(i64::from(STEPS), Ordering::Relaxed);
        left <= i64::from(STEPS) || lock(&self.until).is_some_and(|until| Instant::now() >= until)
    }
}

/// A poisoned connection is still a connection: SQLite rolls back what was open.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
