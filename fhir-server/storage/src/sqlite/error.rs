//! What SQLite's errors mean here.

use crate::error::{CommitError, ReadError};

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
            Self::TooMuch
        } else {
            Self::Failed(format!("SQLite: {error}"))
        }
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.to_string())
    }
}
