//! What an exchange with the FHIR server may end with, sorted by what to do about it.

use std::time::Duration;

use thiserror::Error;

/// Why a request gave nothing to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FhirError {
    /// Not now: the message stays in the queue and is tried again.
    #[error("{reason}")]
    Temporary {
        /// For people.
        reason: String,
        /// What to wait for, and how long.
        wait: Wait,
    },
    /// Somebody else changed the resource in the meantime: read it again.
    #[error("the resource was changed by somebody else")]
    Conflict,
    /// Never: a dead letter.
    #[error("the FHIR server refuses it with {status}: {outcome}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the OperationOutcome says.
        outcome: String,
    },
}

/// What a temporary error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The whole server: nothing else has to be tried. With the time that it asked for.
    Server(Option<Duration>),
    /// This request only (500): others may succeed.
    Request,
}

impl FhirError {
    /// The whole server is waited for, as long as we think right.
    pub(super) fn server(reason: String) -> Self {
        Self::Temporary {
            reason,
            wait: Wait::Server(None),
        }
    }

    /// Sorts an answer that isn't a success.
    pub(super) fn of_status(status: u16, retry_after: Option<Duration>, outcome: String) -> Self {
        let temporary = |wait| Self::Temporary {
            reason: format!("the FHIR server answers {status}: {outcome}"),
            wait,
        };
        match status {
            409 | 412 => Self::Conflict,
            500 => temporary(Wait::Request),
            // A missing service: what we ask for always exists in a FHIR server.
            // Another address, another method, another form: settings are wrong and no message is.
            300..=399 | 401..=408 | 411 | 415 | 421 | 425 | 426 | 429 | 451 | 501..=599 => {
                temporary(Wait::Server(retry_after))
            }
            _ => Self::Refused { status, outcome },
        }
    }
}
