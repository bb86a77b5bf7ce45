//! Why a search is refused: status, issue code and the text that clients know.

use thiserror::Error;

use crate::terms::Need;

/// A refusal of a search, with the words of Microsoft's server where clients may show them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SearchError {
    /// A value that can't be read.
    #[error("{0}")]
    BadValue(String),
    /// A parameter that doesn't exist, under strict handling.
    #[error("The search parameter '{parameter}' is not supported for resource type '{resource_type}'.")]
    UnknownParameter {
        /// The parameter as written.
        parameter: String,
        /// The type that was searched.
        resource_type: String,
    },
    /// A type that an included resource is to have, and that doesn't exist.
    #[error("Resource type '{0}' is not supported.")]
    UnknownTarget(String),
    /// A modifier that the parameter doesn't have.
    #[error("Modifier '{modifier}' is not supported for search parameter '{parameter}'.")]
    Modifier {
        /// The modifier without colon.
        modifier: String,
        /// The parameter's code.
        parameter: String,
    },
    /// Something that terminology must say first; see [`crate::terms`].
    #[error("The value sets and code systems that the search is about aren't looked up here.")]
    Needs(Need),
    /// Something else that can't be done in a search.
    #[error("{0}")]
    NotSupported(String),
}

impl SearchError {
    /// The HTTP status: an unsupported operation is 403, a bad value 400.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadValue(_) | Self::UnknownParameter { .. } | Self::UnknownTarget(_) => 400,
            Self::Modifier { .. } | Self::Needs(_) | Self::NotSupported(_) => 403,
        }
    }

    /// The FHIR issue type.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadValue(_) => "invalid",
            Self::UnknownParameter { .. }
            | Self::UnknownTarget(_)
            | Self::Modifier { .. }
            | Self::Needs(_)
            | Self::NotSupported(_) => "not-supported",
        }
    }
}
