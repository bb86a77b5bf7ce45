//! Why the spool can't do what it is asked for.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the spool can't do it.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// Another process has the file.
    #[error("spool `{path}` is in use by another process; one connector has one spool")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The lock file can't be made.
    #[error("spool `{path}` can't be locked")]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is somebody else's.
    #[error("`{path}` is a database of something else, and is left as it is: name another file in `spool.path`")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer release wrote the file.
    #[error("spool `{path}` has schema {found}, this release knows up to {known}: use a newer release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// In the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// SQLite's answer.
    #[error("the spool can't be used")]
    Database(#[from] rusqlite::Error),
    /// A transaction was rolled back; the cause is in the log.
    #[error("the spool can't write: {0}")]
    Write(String),
    /// The server of the shared spool, or its answer.
    #[error("the shared spool can't be used: {0}")]
    Shared(String),
    /// Messages can't be told apart yet.
    #[error("there are no valid mappings yet, and a shared spool takes messages only with them")]
    NoMappings,
    /// The writer has ended.
    #[error("the spool is closed")]
    Closed,
}

impl SpoolError {
    /// Whether the same may be done later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Shared(_) | Self::NoMappings)
    }
}
