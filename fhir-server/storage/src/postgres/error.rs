//! What PostgreSQL's errors mean here.

use crate::error::{CommitError, OpenError, ReadError};

/// Whether the connection, or the server behind it, is gone: another one may work.
pub fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // connection exceptions, too many connections, shutting down and starting up
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("08") || code == "53300" || code.starts_with("57P")),
        _ => false,
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// Whether a row with this unique key is there.
pub fn is_taken(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("23505")
}

/// What it says, without values, which may be of patients.
fn text(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => format!(
            "PostgreSQL: {} ({})",
            database.message(),
            code(error).unwrap_or_default()
        ),
        None => format!("PostgreSQL: {error}"),
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        if code(&error).as_deref() == Some("57014") {
            Self::TooMuch
        } else if is_lost(&error) {
            Self::Lost(text(&error))
        } else {
            Self::Failed(text(&error))
        }
    }
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        ReadError::from(error).into()
    }
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Io(io) = &error
            && io.kind() == std::io::ErrorKind::NotFound
        {
            return Self::Postgres(format!(
                "{}: the URL names a file that isn't there, the socket or one of `sslrootcert`, `sslcert` and `sslkey`",
                text(&error)
            ));
        }
        Self::Postgres(text(&error))
    }
}
