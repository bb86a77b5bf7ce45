//! Partial changes of a resource: JSON Patch (RFC 6902) and FHIRPath Patch. What isn't changed keeps its bytes, and what
//! stays empty after a removal goes with it, since FHIR has no empty arrays or objects.

mod fhirpath;
mod json;
mod locate;
mod pointer;
mod tree;

use thiserror::Error;

use crate::document::{Document, Limits, Node};
use crate::path::PathError;

pub use fhirpath::fhirpath;
pub use json::json;

/// Why a patch can't be carried out. Messages that Microsoft's server has are kept word by word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// The patch itself isn't one.
    #[error("{0}")]
    Malformed(String),
    /// A JSON pointer leads nowhere.
    #[error("The target location specified by path '{0}' was not found.")]
    NoTarget(String),
    /// A `test` found something else.
    #[error("The value at '{0}' is not equal to the value of the test operation.")]
    TestFailed(String),
    /// A FHIRPath leads nowhere.
    #[error("No content found at {path} when processing patch {operation} operation.")]
    NoContent {
        /// As it was given.
        path: String,
        /// `add`, `replace` …
        operation: &'static str,
    },
    /// A FHIRPath leads to several elements where one is meant.
    #[error("Multiple matches found at {path} when processing patch {operation} operation.")]
    SeveralMatches {
        /// As it was given.
        path: String,
        /// `delete`, `replace` …
        operation: &'static str,
    },
    /// A name that is no element of what it is given to.
    #[error("Element {element} not found at {path} when processing patch {operation} operation.")]
    NoElement {
        /// The name.
        element: String,
        /// As it was given.
        path: String,
        /// `add`, `insert` …
        operation: &'static str,
    },
    /// A value that the element can't have.
    #[error("Invalid input for {element} at {path} when processing patch {operation} operation.")]
    Value {
        /// The element's name.
        element: String,
        /// As it was given.
        path: String,
        /// `add`, `replace` …
        operation: &'static str,
    },
    /// An index outside a list.
    #[error("Index {index} out of bounds when processing patch {operation} operation.")]
    Index {
        /// As it was given.
        index: String,
        /// `insert` or `move`.
        operation: &'static str,
    },
    /// An `add` of something that is there and can't repeat.
    #[error("Existing element {element} found at {path} when processing patch add operation.")]
    Exists {
        /// The element's name.
        element: String,
        /// As it was given.
        path: String,
    },
    /// An expression that isn't understood.
    #[error("The path '{path}' of a patch {operation} operation is not supported: {reason}.")]
    Path {
        /// As it was given.
        path: String,
        /// `add`, `replace` …
        operation: &'static str,
        /// What is wrong with it.
        reason: PathError,
    },
}

/// More operations than any real patch has.
const MOST_OPERATIONS: usize = 1_000;

/// What the server alone decides, and the narrative, which describes the whole.
const IMMUTABLE: [&[&str]; 6] = [
    &["resourceType"],
    &["id"],
    &["meta", "versionId"],
    &["meta", "lastUpdated"],
    &["text", "div"],
    &["text", "status"],
];

/// Whether a patch left alone what it may not change.
pub fn keeps_immutable(before: Node<'_>, after: Node<'_>) -> bool {
    let value = |root: Node<'_>, path: &[&str]| {
        let found = path.iter().try_fold(root, |node, name| node.get(name));
        found.map(|node| node.raw().to_owned())
    };
    IMMUTABLE.iter().all(|path| value(before, path) == value(after, path))
}

/// A patched text as a document.
fn reread(text: Vec<u8>) -> Result<Document, PatchError> {
    Document::parse(text, Limits::default()).map_err(|error| PatchError::Malformed(error.to_string()))
}
