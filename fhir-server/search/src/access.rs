//! What a request may see: a predicate that is put on every node of a plan (docs/architecture.md, access).

use std::collections::BTreeSet;

use crate::plan::Filter;

/// Which resources exist for whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    #[default]
    All,
    /// Only these types.
    Types(BTreeSet<&'static str>),
}

impl Access {
    /// Whether a resource of this type may exist for the caller.
    pub fn sees(&self, resource_type: &str) -> bool {
        match self {
            Self::All => true,
            Self::Types(types) => types.contains(resource_type),
        }
    }

    /// The predicate as a filter; `None`: nothing is hidden.
    pub fn filter(&self) -> Option<Filter> {
        match self {
            Self::All => None,
            Self::Types(types) => Some(Filter::Type(types.iter().map(ToString::to_string).collect())),
        }
    }
}
