//! History, newest first: of an instance, a type, the service.

use fhir_resource::Micros;
use fhir_search::Access;

use crate::cursor::HistoryCursor;
use crate::version::Version;

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One resource: type, id.
    Instance(String, String),
    /// All of a type.
    Type(String),
    /// All.
    System,
}

/// A page of history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose.
    pub scope: Scope,
    /// Only of resources that this sees as they are now. What they were before, only the caller can prove.
    pub access: Access,
    /// Versions from this time on.
    pub since: Option<Micros>,
    /// Versions before this time.
    pub before: Option<Micros>,
    /// Versions a page.
    pub count: usize,
    /// Where the page begins.
    pub after: Option<HistoryCursor>,
}

/// Versions, newest first, and where the next page begins.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The versions.
    pub entries: Vec<Version>,
    /// `None`: this was the last page.
    pub next: Option<HistoryCursor>,
}
