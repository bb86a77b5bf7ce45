//! Why something isn't done: a reason for programs and a sentence for people.

use fhir_operator_api::Reason;

/// Why something isn't done. The message says what is wrong, with the numbers, and what to do next.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
