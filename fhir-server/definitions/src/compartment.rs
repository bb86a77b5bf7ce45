//! Compartments: which resources belong to a patient, an encounter and so on.

use crate::layout::Section;
use crate::structure::ResourceType;
use crate::version::FhirVersion;
use crate::{Definitions, layout::NONE};

/// A compartment definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compartment {
    pub(crate) version: FhirVersion,
    pub(crate) id: u32,
}

impl Compartment {
    /// The type of resource that it belongs to: `Patient`.
    pub fn name(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Compartments, self.id, 0)
    }

    /// Whether resources of a type can be in it.
    pub fn contains(self, resource_type: ResourceType) -> bool {
        self.member(resource_type) != NONE
    }

    /// Codes of the search parameters that link a resource of the type to the compartment; a resource is in it if one
    /// of them does. A type that only is in its own compartment (`{def}`) has none.
    pub fn parameters(self, resource_type: ResourceType) -> impl Iterator<Item = &'static str> {
        let tables = Definitions::of(self.version).tables();
        let member = self.member(resource_type);
        let (first, count) = if member == NONE {
            (0, 0)
        } else {
            (
                tables.word(Section::Members, member, 1),
                tables.word(Section::Members, member, 2),
            )
        };
        (first..first.saturating_add(count)).map(move |entry| tables.text(Section::Lists, entry, 0))
    }

    fn member(self, resource_type: ResourceType) -> u32 {
        let tables = Definitions::of(self.version).tables();
        let first = tables.word(Section::Compartments, self.id, 1);
        let count = tables.word(Section::Compartments, self.id, 2);
        if resource_type.version() != self.version {
            return NONE;
        }
        let wanted = u32::from(resource_type.id());
        let (mut low, mut high) = (first, first.saturating_add(count));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = tables.word(Section::Members, middle, 0);
            match found.cmp(&wanted) {
                std::cmp::Ordering::Equal => return middle,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        NONE
    }
}
