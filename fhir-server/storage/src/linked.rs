//! What a page includes.

use crate::version::Version;

/// Rounds of `:iterate`, however long a chain is.
pub(crate) const ROUNDS: usize = 10;

/// A resource by name: type and id.
pub(crate) type Name = (String, String);

/// What is included with a page.
#[derive(Debug, Default)]
pub struct Included {
    /// The resources, each once, none of the page itself.
    pub entries: Vec<Version>,
    /// There would have been more.
    pub cut: bool,
}

impl Version {
    pub(crate) fn name(&self) -> Name {
        (self.resource_type.clone(), self.id.clone())
    }
}
