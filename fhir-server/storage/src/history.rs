//! History: of an instance, a type, the service.

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

/// In which order versions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
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
    /// Which come first.
    pub order: Order,
    /// Versions a page.
    pub count: usize,
    /// Where the page begins.
    pub after: Option<HistoryCursor>,
}

/// Versions in order, and where the next page begins.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The versions.
    pub entries: Vec<Version>,
    /// `None`: this was the last page.
    pub next: Option<HistoryCursor>,
}
