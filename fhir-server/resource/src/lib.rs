//! One FHIR resource, pure: its bytes ([`Document`]), the form in which it is stored ([`stored`]), rewriting of single
//! values ([`edit`]), points in time ([`temporal`]), the paths of search parameters ([`path`]), patches
//! ([`patch`]), validation ([`validation`]) and XML ([`xml`]). No clock, no I/O; no input panics.

mod document;
pub mod edit;
mod parser;
pub mod patch;
pub mod path;
pub mod reference;
pub mod stored;
pub mod temporal;
pub mod validation;
mod writer;
pub mod xml;

pub use document::{Document, Entries, Items, Kind, Limits, Node};
pub use parser::{ParseError, ParseProblem};
pub use writer::{write_minified, write_string};

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;
