//! The forms of index keys.
//!
//! Tokens, references and URIs are texts with one letter in front that says which form it is; storage keeps each text
//! once and indexes by its number, so that a key is exact: two values never share one.

use fhir_definitions::{ParamKind, SearchParameter};
use fhir_resource::Micros;

use crate::decimal::Decimal;

/// Which compiled definition a row belongs to.
///
/// Base parameters have the number of their record in the definitions; compartments, components of composites and stored
/// definitions have ranges of their own. Storage maps it to a number of the database, which is never reused for another
/// definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(u32);

const COMPARTMENTS: u32 = 1 << 20;
const COMPONENTS: u32 = 1 << 21;
/// Composites have two or three components.
const COMPONENTS_EACH: u32 = 4;
/// Definitions of the service's own: each has a block of ids, which are numbers of the database as they are.
const STORED: u32 = 1 << 22;
/// The parameter itself, components of a composite, further keys of both.
const STORED_EACH: u32 = 64;
/// Between a parameter and its further keys; all ids of FHIR's parameters are below it.
const FURTHER: u32 = 1 << 16;
/// The same in the block of a stored definition.
const STORED_FURTHER: u32 = 8;

/// What a parameter's values can be found by besides its own keys; each has rows of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Further {
    /// Displays and texts of tokens (`:text`).
    Text = 1,
    /// Identifiers with their type (`:of-type`).
    OfType,
    /// Identifiers of references (`:identifier`).
    Identifier,
    /// Quantities in the canonical unit of UCUM.
    Canonical,
}

impl Further {
    /// What values of this kind have.
    pub fn of(kind: ParamKind) -> &'static [Self] {
        match kind {
            ParamKind::Token => &[Self::Text, Self::OfType],
            ParamKind::Reference => &[Self::Identifier],
            ParamKind::Quantity => &[Self::Canonical],
            ParamKind::Number
            | ParamKind::Date
            | ParamKind::String
            | ParamKind::Composite
            | ParamKind::Uri
            | ParamKind::Special => &[],
        }
    }

    /// As it stands behind the parameter's code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::OfType => "of-type",
            Self::Identifier => "identifier",
            Self::Canonical => "canonical",
        }
    }
}

impl ParamId {
    /// A search parameter of the definitions.
    pub fn of(parameter: SearchParameter) -> Self {
        match parameter.as_stored() {
            None => Self(parameter.id()),
            Some(stored) => Self(STORED + stored.number * STORED_EACH),
        }
    }

    /// Every id of the stored definition with this number.
    pub fn block(number: u32) -> std::ops::Range<u32> {
        let first = STORED + number * STORED_EACH;
        first..first + STORED_EACH
    }

    /// Whether it belongs to a stored definition: storage takes the number as it is.
    pub fn is_stored(self) -> bool {
        self.0 >= STORED
    }

    /// Membership of a compartment: 0 is the first of the version's compartments.
    pub fn of_compartment(index: u32) -> Self {
        Self(COMPARTMENTS + index)
    }

    /// The `index`th component of a composite.
    pub fn of_component(composite: SearchParameter, index: u32) -> Self {
        match composite.as_stored() {
            None => Self(COMPONENTS + composite.id() * COMPONENTS_EACH + index),
            Some(_) => Self(Self::of(composite).0 + 1 + index),
        }
    }

    /// Where this parameter's values have further keys.
    #[must_use]
    pub fn further(self, what: Further) -> Self {
        let step = if self.is_stored() { STORED_FURTHER } else { FURTHER };
        Self(self.0 + what as u32 * step)
    }

    /// Whether it is membership of a compartment.
    pub fn is_compartment(self) -> bool {
        (COMPARTMENTS..COMPONENTS).contains(&self.0)
    }

    /// Whether its keys say the same as others, in another way.
    pub fn is_further(self) -> bool {
        if self.is_stored() {
            self.0 % STORED_EACH >= STORED_FURTHER
        } else {
            self.0 % COMPARTMENTS >= FURTHER
        }
    }

    /// The number, for storage.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Everything that storage has to write to find a resource again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys {
    /// The generation of the parameters that they were made by.
    pub generation: u64,
    /// Token, reference, URI and compartment keys: exact texts.
    pub exact: Vec<(ParamId, String)>,
    /// Periods, both ends included.
    pub dates: Vec<(ParamId, Micros, Micros)>,
    /// Numbers and quantities.
    pub numbers: Vec<NumberRow>,
    /// Strings: folded for search, and as they were.
    pub strings: Vec<(ParamId, String, String)>,
    /// Positions on the earth.
    pub places: Vec<PlaceRow>,
    /// What composites find together: the keys of one element each.
    pub elements: Vec<Keys>,
}

/// A number, a quantity or a range of them.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRow {
    /// The parameter.
    pub param: ParamId,
    /// Smallest value, order-preserving ([`Decimal::to_key`]).
    pub low: Vec<u8>,
    /// Greatest value.
    pub high: Vec<u8>,
    /// System of the unit; empty: none.
    pub system: String,
    /// Code of the unit, or its text where there is no code; empty: none.
    pub code: String,
}

/// A position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaceRow {
    /// The parameter.
    pub param: ParamId,
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
}

impl Keys {
    /// Removes repetitions: a key is there or not.
    pub(crate) fn settle(&mut self) {
        self.exact.sort_unstable();
        // sorted, a system alone comes before the codes of it, which say all that it says
        self.exact.dedup_by(|next, last| {
            let only_system = parts(&last.1).is_some_and(|(_, code)| code.is_empty());
            let said = next == last || (only_system && next.0 == last.0 && next.1.starts_with(&last.1));
            if said {
                std::mem::swap(next, last);
            }
            said
        });
        self.dates.sort_unstable();
        self.dates.dedup();
        self.strings.sort_unstable();
        self.strings.dedup();
        self.numbers.sort_unstable_by(|a, b| {
            (a.param, &a.low, &a.high, &a.system, &a.code).cmp(&(b.param, &b.low, &b.high, &b.system, &b.code))
        });
        self.numbers.dedup();
        self.elements.iter_mut().for_each(Self::settle);
    }

    /// How many there are, without those of elements.
    pub(crate) fn count(&self) -> usize {
        self.exact.len() + self.dates.len() + self.numbers.len() + self.strings.len()
    }
}

/// Between system and code; control characters aren't allowed in either.
pub const BETWEEN: char = '\u{1f}';

/// The letters in front, where a key is asked for by its form: of codes with their system.
pub const TOKEN: char = 'p';
/// Of references.
pub const REFERENCE: char = 'r';
/// Of URIs.
pub const URI: char = 'u';
/// Of a value that is there, but that nothing can be searched for in: a code without a coding, say.
pub const OTHER: &str = "x";

/// Keys are made for every value of every resource: in one piece, without formatting.
fn joined(form: char, parts: &[&str]) -> String {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut key = String::with_capacity(form.len_utf8() + length);
    key.push(form);
    for part in parts {
        key.push_str(part);
    }
    key
}

/// A code in this very system; an empty system says that there is none, an empty code likewise. This alone is kept of a
/// token: what is asked of a code or a system alone is answered from it.
pub fn system_code(system: &str, code: &str) -> String {
    joined(TOKEN, &[system, BETWEEN.encode_utf8(&mut [0; 4]), code])
}

/// Asks for a code in any system.
pub fn code(code: &str) -> String {
    joined('c', &[code])
}

/// Asks for any code in this system, which isn't empty.
pub fn system(system: &str) -> String {
    joined('s', &[system])
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The very same key.
    Key(&'a str),
    /// A token with this code.
    Code(&'a str),
    /// A token with this system.
    System(&'a str),
}

impl<'a> Asked<'a> {
    /// What the keys of a filter ask for.
    pub fn by(key: &'a str) -> Self {
        match key.as_bytes().first() {
            Some(b'c') => Self::Code(text(key)),
            Some(b's') => Self::System(text(key)),
            _ => Self::Key(key),
        }
    }

    /// Whether a kept key is what is asked for.
    pub fn is(self, kept: &str) -> bool {
        match self {
            Self::Key(key) => key == kept,
            Self::Code(code) => parts(kept).is_some_and(|(_, of)| of == code),
            Self::System(system) => parts(kept).is_some_and(|(of, _)| of == system),
        }
    }
}

/// Whether a kept key is one of those that a filter asks for.
pub fn is_asked(kept: &str, asked: &[String]) -> bool {
    asked.iter().any(|key| Asked::by(key).is(kept))
}

/// System and code of a token's key.
pub fn parts(kept: &str) -> Option<(&str, &str)> {
    kept.strip_prefix(TOKEN)?.split_once(BETWEEN)
}

/// A reference: `Type/id`, a URL, or the text of a reference that is neither.
pub fn reference(text: &str) -> String {
    joined(REFERENCE, &[text])
}

/// A URI; texts that begin with it are found as a range.
pub fn uri(text: &str) -> String {
    joined(URI, &[text])
}

/// A display or a text, folded; texts that begin with it are found as a range.
pub fn display(folded: &str) -> String {
    joined('t', &[folded])
}

/// The value of an identifier of this type.
pub fn of_type(system: &str, code: &str, value: &str) -> String {
    format!("o{system}{BETWEEN}{code}{BETWEEN}{value}")
}

/// A key as a query writes it, with its form: for people.
pub fn shown(key: &str) -> String {
    let text = text(key);
    match parts(key) {
        Some(("", code)) => code.to_owned(),
        Some((system, code)) => format!("{system}|{code}"),
        None => text.to_owned(),
    }
}

/// What text a key holds, without its form.
pub fn text(key: &str) -> &str {
    key.get(1..).unwrap_or_default()
}

/// The order-preserving form of a decimal.
pub fn number(value: Decimal) -> Vec<u8> {
    value.to_key()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::code(code("a"), &[("", "a"), ("http://s", "a"), ("http://t", "a")])]
    #[case::system(system("http://s"), &[("http://s", "a"), ("http://s", "")])]
    #[case::both(system_code("http://s", "a"), &[("http://s", "a")])]
    #[case::without_system(system_code("", "a"), &[("", "a")])]
    #[case::another_form(reference("a"), &[])]
    fn tokens_answer(#[case] asked: String, #[case] expected: &[(&str, &str)]) {
        let kept = [
            ("", "a"),
            ("http://s", "a"),
            ("http://t", "a"),
            ("http://s", ""),
            ("", "b"),
        ];
        let asked = [asked];
        let found = kept
            .iter()
            .filter(|(system, code)| is_asked(&system_code(system, code), &asked));
        assert_eq!(found.copied().collect::<Vec<_>>(), expected);
    }
}
