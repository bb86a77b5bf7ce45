//! Why a value set can't be expanded, or a question about codes can't be answered; each says what to do.

use http::StatusCode;
use thiserror::Error;

use crate::http::failure::Failure;

/// A question that has no answer here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// Neither stored nor of the base specification.
    #[error("The value set '{0}' isn't known here. Store it as a ValueSet, or send it with the request.")]
    UnknownValueSet(String),
    /// Neither stored nor of the base specification.
    #[error("The code system '{0}' isn't known here. Store it as a CodeSystem.")]
    UnknownCodeSystem(String),
    /// A value set is made of a code system that isn't here.
    #[error(
        "The value set '{value_set}' can't be expanded: its code system '{system}' isn't known here. Store it as a \
         CodeSystem with its concepts, or list the codes in the value set."
    )]
    SystemOfValueSet {
        /// The system, maybe with a version.
        system: String,
        /// The value set.
        value_set: String,
    },
    /// A value set is made of a code system whose concepts aren't here.
    #[error(
        "The value set '{value_set}' can't be expanded: of its code system '{system}' only the content '{content}' is \
         known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."
    )]
    ContentOfSystem {
        /// The system.
        system: String,
        /// `CodeSystem.content`
        content: String,
        /// The value set.
        value_set: String,
    },
    /// A value set is made of one that isn't here.
    #[error(
        "The value set '{value_set}' can't be expanded: it is made of '{imported}', which isn't known here. Store it as \
         a ValueSet."
    )]
    ImportedValueSet {
        /// What it imports.
        imported: String,
        /// The value set.
        value_set: String,
    },
    /// A value set is made of itself.
    #[error("The value set '{0}' can't be expanded: it is made of itself. Remove one of the imports: {1}.")]
    Circle(String, String),
    /// Imports of imports of imports.
    #[error("The value set '{value_set}' can't be expanded: its imports are nested deeper than {most} levels.")]
    TooDeep {
        /// The outermost value set.
        value_set: String,
        /// The limit.
        most: usize,
    },
    /// More concepts to look at than a request may.
    #[error(
        "The value set '{0}' can't be expanded: its parts and filters look at too many concepts. Use fewer of them, or \
         list the codes."
    )]
    TooMuchWork(String),
    /// A value set that says nothing of its members.
    #[error("The value set '{0}' can't be expanded: it has neither `compose` nor an expansion.")]
    NoDefinition(String),
    /// A filter that isn't understood.
    #[error("The value set '{value_set}' can't be expanded: the filter '{filter}' {reason}.")]
    Filter {
        /// `property op value`
        filter: String,
        /// What is wrong with it.
        reason: String,
        /// The value set.
        value_set: String,
    },
    /// More codes than an answer holds.
    #[error("The value set '{value_set}' has more than {most} codes. Narrow it by `filter`, or use a smaller one.")]
    TooMany {
        /// The value set.
        value_set: String,
        /// The limit.
        most: usize,
    },
}

impl Problem {
    /// FHIR's issue type.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownValueSet(_)
            | Self::UnknownCodeSystem(_)
            | Self::SystemOfValueSet { .. }
            | Self::ImportedValueSet { .. } => "not-found",
            Self::ContentOfSystem { .. } | Self::Filter { .. } => "not-supported",
            Self::Circle(..) | Self::NoDefinition(_) => "processing",
            Self::TooMany { .. } | Self::TooDeep { .. } | Self::TooMuchWork(_) => "too-costly",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownValueSet(_) | Self::UnknownCodeSystem(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::new(problem.status(), problem.code(), problem.to_string())
    }
}
