//! What can go wrong: when opening, reading, committing.

use std::path::PathBuf;

use thiserror::Error;

use crate::commit::WriteSet;
use crate::version::Version;

/// Why a database can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the database `{0}` is in use by another process; stop that one first, a SQLite database has one server")]
    Locked(PathBuf),
    /// The file is somebody else's.
    #[error("`{0}` is a database of something else, and is left as it is: name another file")]
    Foreign(PathBuf),
    /// Written by a newer program.
    #[error("the database has schema {found}, this release knows schemas up to {known}; run the newer release")]
    Newer {
        /// The database's schema.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// Made for another FHIR version.
    #[error("the database holds FHIR {stored}, not {asked}; name another database or serve {stored}")]
    OtherVersion {
        /// What the database was made for.
        stored: String,
        /// What was asked for.
        asked: String,
    },
    /// The file or its folder can't be used.
    #[error("can't use `{path}`")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL refused, or can't be reached.
    #[error("{0}")]
    Postgres(String),
    /// A URL that isn't one of PostgreSQL. The URL isn't shown: it may have a password.
    #[error("the database's URL can't be used: {0}")]
    Url(String),
}

/// Why something can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The database can't be reached; it may come back.
    #[error("the database can't be reached: {0}")]
    Lost(String),
    /// Every connection is in use; try again soon.
    #[error("every connection to the database is in use")]
    Busy,
    /// The answer would have taken more than the effort that was asked for.
    #[error("the search takes too long")]
    TooMuch,
    /// A cursor of another search.
    #[error("the continuation token is invalid")]
    Cursor,
    /// A stored body can't be unpacked: the database is damaged.
    #[error("the body of {0} can't be unpacked; run `fhir-server check`")]
    Damaged(String),
}

/// Why a set of changes wasn't committed. Nothing of it was.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The current version isn't the expected one.
    #[error("{resource_type}/{id} is at version {}", current.map_or("none".to_owned(), |v| v.to_string()))]
    Conflict {
        /// Type of the resource.
        resource_type: String,
        /// Its id.
        id: String,
        /// Its current version, if it exists.
        current: Option<u32>,
    },
    /// An update of what doesn't exist, where it may not be created.
    #[error("{resource_type}/{id} doesn't exist")]
    NotFound {
        /// Type of the resource.
        resource_type: String,
        /// Its id.
        id: String,
    },
    /// A create with an id that is taken.
    #[error("{resource_type}/{id} exists")]
    IdTaken {
        /// Type of the resource.
        resource_type: String,
        /// Its id.
        id: String,
    },
    /// The guard found one resource: it stands for the one that would have been created.
    #[error("the criteria match {}/{}", .0.resource_type, .0.id)]
    Exists(Box<Version>),
    /// The guard found several resources.
    #[error("the criteria match several resources")]
    NotSelective,
    /// The search parameters have changed since the set was prepared: it has to be prepared again.
    #[error("the search parameters have changed")]
    Outdated(Box<WriteSet>),
    /// The FHIR version has no such type.
    #[error("there is no resource type `{0}`")]
    UnknownType(String),
    /// What is stored can't be read.
    #[error("{0}")]
    Damaged(String),
    /// Too many sets wait; try again soon.
    #[error("too many writes wait")]
    Busy,
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
    /// Deciding it would have taken too long.
    #[error("the criteria take too long")]
    TooMuch,
    /// The database can't be reached, or was lost before it answered: then the set may be there.
    #[error("the database can't be reached: {0}")]
    Lost(String),
    /// The database failed; the set isn't there.
    #[error("the database failed: {0}")]
    Storage(String),
}

impl CommitError {
    pub(crate) fn not_found(resource_type: &str, id: &str) -> Self {
        Self::NotFound {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
        }
    }
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(error) => Self::Storage(error),
            ReadError::Lost(error) => Self::Lost(error),
            ReadError::Busy => Self::Busy,
            ReadError::TooMuch => Self::TooMuch,
            ReadError::Cursor => Self::Storage(error.to_string()),
            ReadError::Damaged(_) => Self::Damaged(error.to_string()),
        }
    }
}
