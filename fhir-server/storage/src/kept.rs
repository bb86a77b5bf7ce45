//! What is kept for further pages: keys that seal places, and queries that links name.

use fhir_resource::Micros;

/// A key of continuation tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct PageKey {
    /// Its number, which a token says; given when it is added.
    pub id: u32,
    /// When it was made.
    pub made: Micros,
    /// The key itself.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PageKey({}, {})", self.id, self.made)
    }
}

/// A query that is too long or too private to be repeated in links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptQuery {
    /// Its hash, which links say.
    pub name: String,
    /// Who asked it: nobody else gets it.
    pub owner: String,
    /// The query string.
    pub text: String,
    /// Until when it is kept.
    pub until: Micros,
}
