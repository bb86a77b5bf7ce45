//! Bindings of elements to value sets.

use crate::Definitions;
use crate::layout::{NONE, Section, binding};
use crate::version::FhirVersion;

/// How binding a value set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// A code of the value set.
    Required,
    /// A code of the value set if one fits.
    Extensible,
    /// A code of the value set is encouraged.
    Preferred,
    /// The value set is an example.
    Example,
}

/// A binding of an element to a value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    pub(crate) version: FhirVersion,
    pub(crate) id: u32,
}

impl Binding {
    fn word(self, word: u32) -> u32 {
        Definitions::of(self.version)
            .tables()
            .word(Section::Bindings, self.id, word)
    }

    /// How binding it is.
    pub fn strength(self) -> Strength {
        match self.word(binding::STRENGTH) {
            0 => Strength::Required,
            1 => Strength::Extensible,
            2 => Strength::Preferred,
            _ => Strength::Example,
        }
    }

    /// Canonical URL of the value set, maybe with `|version`.
    pub fn value_set(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Bindings, self.id, binding::VALUE_SET)
    }

    /// System and code of every member, by code; `None` where the members can't be listed (languages, MIME types).
    pub fn codes(self) -> Option<impl Iterator<Item = (&'static str, &'static str)>> {
        let (first, count) = (self.word(binding::CODES), self.word(binding::CODES + 1));
        let tables = Definitions::of(self.version).tables();
        (first != NONE).then(|| {
            (first..first.saturating_add(count)).map(move |code| {
                (
                    tables.text(Section::Codes, code, 1),
                    tables.text(Section::Codes, code, 0),
                )
            })
        })
    }

    /// Whether `code` is a member; `None` where the members can't be listed.
    pub fn allows(self, code: &str) -> Option<bool> {
        let (first, count) = (self.word(binding::CODES), self.word(binding::CODES + 1));
        let tables = Definitions::of(self.version).tables();
        (first != NONE).then(|| tables.search(Section::Codes, first, count, code).is_some())
    }

    /// The system of a member `code`, which a value of type `code` leaves unsaid.
    pub fn system_of(self, code: &str) -> Option<&'static str> {
        let (first, count) = (self.word(binding::CODES), self.word(binding::CODES + 1));
        let tables = Definitions::of(self.version).tables();
        if first == NONE {
            return None;
        }
        let found = tables.search(Section::Codes, first, count, code)?;
        Some(tables.text(Section::Codes, found, 1))
    }
}
