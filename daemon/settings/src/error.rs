//! How an option is refused.

use thiserror::Error;

/// An option that can't be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("option `{option}`: {reason}")]
pub struct SettingsError {
    /// The option's path in the file.
    pub option: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

impl SettingsError {
    /// With its path in the file, and what is wrong and what to do.
    pub fn new(option: &'static str, reason: impl Into<String>) -> Self {
        Self {
            option,
            reason: reason.into(),
        }
    }
}
