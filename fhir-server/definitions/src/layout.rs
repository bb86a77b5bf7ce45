//! The layout of a data file, shared by its reader and its writer (`cargo xtask gen definitions`).
//!
//! A file is [`MAGIC`], the format number, the number of sections, then offset and record count for each [`Section`] in
//! order; after that the sections. Records are words (little-endian `u32`); a record's first word is its name where it
//! has one, and records that are looked up by name are sorted by it. A text is a word, too: 20 bits of offset into the
//! text section and 12 bits of length.

/// The first bytes of a data file.
pub const MAGIC: [u8; 8] = *b"FHIRDEFS";
/// The number of this layout.
pub const FORMAT: u32 = 2;
/// Says "there is none" where an id is expected.
pub const NONE: u32 = u32::MAX;
/// A maximum of `*`.
pub const MANY: u32 = 0xFFFF;
/// Bits of a text word that hold its length.
pub const TEXT_LENGTH_BITS: u32 = 12;
/// The most slots that a type has, so that a bit set of two words can tell which were seen.
pub const MOST_SLOTS: u32 = 128;

/// The parts of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Every text, as bytes.
    Texts,
    /// Types by name; see [`type_`].
    Types,
    /// Elements by JSON name within their type; see [`element`].
    Elements,
    /// What a type declares, in order: an element, or the alternatives of a choice; see [`slot`].
    Slots,
    /// Plain words that other records point into: type ids, element ids, texts.
    Lists,
    /// Bindings to value sets; see [`binding`].
    Bindings,
    /// Codes by code within their binding: code, system.
    Codes,
    /// Search parameters by type and code; see [`parameter`].
    Parameters,
    /// Components of composite parameters: code, definition, expression.
    Components,
    /// Compartments by name: name, first member, members.
    Compartments,
    /// Members of compartments by type: type, first parameter code in the lists, codes.
    Members,
    /// What is needed rarely: chunks, each deflated by itself; see `cold`.
    Cold,
    /// Where the chunks are; see [`chunk`].
    Chunks,
}

/// The number of sections.
pub const SECTIONS: usize = 13;

impl Section {
    /// Words of a record; texts and the cold pack count bytes.
    pub const fn words(self) -> u32 {
        match self {
            Section::Texts | Section::Cold => 0,
            Section::Lists => 1,
            Section::Codes => 2,
            Section::Components | Section::Compartments | Section::Members => 3,
            Section::Chunks => chunk::WORDS,
            Section::Bindings => binding::WORDS,
            Section::Slots => slot::WORDS,
            Section::Elements => element::WORDS,
            Section::Parameters => parameter::WORDS,
            Section::Types => type_::WORDS,
        }
    }
}

/// Words of a type.
pub mod type_ {
    /// Its name.
    pub const NAME: u32 = 0;
    /// Canonical URL, empty for backbone elements.
    pub const URL: u32 = 1;
    /// Kind (0 resource, 1 complex, 2 primitive, 3 backbone), plus 256 when abstract.
    pub const KIND: u32 = 2;
    /// Type that it is derived from.
    pub const BASE: u32 = 3;
    /// First element, and the number of elements.
    pub const ELEMENTS: u32 = 4;
    /// First slot, and the number of slots.
    pub const SLOTS: u32 = 6;
    /// First search parameter, and their number.
    pub const PARAMETERS: u32 = 8;
    /// Words in all.
    pub const WORDS: u32 = 10;
}

/// Words of an element.
pub mod element {
    /// JSON name.
    pub const NAME: u32 = 0;
    /// Its type.
    pub const TYPE: u32 = 1;
    /// Its slot, counted from the first of its type.
    pub const SLOT: u32 = 2;
    /// First target type in the lists, and their number.
    pub const TARGETS: u32 = 3;
    /// Its binding.
    pub const BINDING: u32 = 5;
    /// Flags, see below.
    pub const FLAGS: u32 = 6;
    /// Words in all.
    pub const WORDS: u32 = 7;
    /// Flag: one alternative of a choice.
    pub const CHOICE: u32 = 1;
    /// Flag: part of the summary.
    pub const SUMMARY: u32 = 2;
    /// Flag: changes the meaning of what holds it.
    pub const MODIFIER: u32 = 4;
    /// Flag: its type is that of another element (a content reference).
    pub const CONTENT_REFERENCE: u32 = 8;
}

/// Words of a slot.
pub mod slot {
    /// Name as FHIRPath says it: `value` for `value[x]`.
    pub const NAME: u32 = 0;
    /// Least number.
    pub const MIN: u32 = 1;
    /// Greatest number, or [`super::MANY`].
    pub const MAX: u32 = 2;
    /// First element id in the lists, and their number.
    pub const ELEMENTS: u32 = 3;
    /// Words in all.
    pub const WORDS: u32 = 5;
}

/// Words of a binding.
pub mod binding {
    /// Canonical URL of the value set, maybe with a version.
    pub const VALUE_SET: u32 = 0;
    /// Strength: 0 required, 1 extensible, 2 preferred, 3 example.
    pub const STRENGTH: u32 = 1;
    /// First code ([`super::NONE`]: not enumerable), and their number.
    pub const CODES: u32 = 2;
    /// Words in all.
    pub const WORDS: u32 = 4;
}

/// Words of a search parameter.
pub mod parameter {
    /// Its code.
    pub const CODE: u32 = 0;
    /// Canonical URL.
    pub const URL: u32 = 1;
    /// Kind, as the order of `ParamKind`.
    pub const KIND: u32 = 2;
    /// The type that it belongs to.
    pub const BASE: u32 = 3;
    /// FHIRPath, for its base type alone.
    pub const EXPRESSION: u32 = 4;
    /// First target type name in the lists, and their number.
    pub const TARGETS: u32 = 5;
    /// First component, and their number.
    pub const COMPONENTS: u32 = 7;
    /// Words in all.
    pub const WORDS: u32 = 9;
}

/// Words of a chunk of the cold pack.
pub mod chunk {
    /// Where it begins in the pack.
    pub const START: u32 = 0;
    /// Its bytes in the pack.
    pub const PACKED: u32 = 1;
    /// The bytes of its text.
    pub const LENGTH: u32 = 2;
    /// Words in all.
    pub const WORDS: u32 = 3;

    /// The chunk that holds the invariants.
    pub const INVARIANTS: u32 = 0;
    /// The chunk that says where value sets and code systems are.
    pub const DIRECTORY: u32 = 1;
}

/// Records of a data file, read in place.
pub struct Tables {
    bytes: &'static [u8],
    texts: &'static str,
    sections: [(u32, u32); SECTIONS],
}

impl Tables {
    /// Opens a data file. One that isn't in this layout opens as empty tables, which the tests of this crate refuse.
    pub fn open(bytes: &'static [u8]) -> Self {
        let mut tables = Tables {
            bytes,
            texts: "",
            sections: [(0, 0); SECTIONS],
        };
        if !bytes.starts_with(&MAGIC) || tables.word_at(8) != FORMAT {
            return tables;
        }
        let mut sections = [(0, 0); SECTIONS];
        for (index, section) in (0_u32..).zip(&mut sections) {
            *section = (tables.word_at(16 + index * 8), tables.word_at(20 + index * 8));
        }
        tables.sections = sections;
        tables.texts = std::str::from_utf8(tables.blob(Section::Texts)).unwrap_or("");
        tables
    }

    /// The number of records.
    pub fn count(&self, section: Section) -> u32 {
        self.sections[section as usize].1
    }

    /// Word `word` of record `record`; [`NONE`] outside the data.
    pub fn word(&self, section: Section, record: u32, word: u32) -> u32 {
        let (offset, _) = self.sections[section as usize];
        self.word_at(
            offset.wrapping_add(
                (record.wrapping_mul(section.words()))
                    .wrapping_add(word)
                    .wrapping_mul(4),
            ),
        )
    }

    /// The text that word `word` of a record stands for.
    pub fn text(&self, section: Section, record: u32, word: u32) -> &'static str {
        let reference = self.word(section, record, word);
        let start = (reference >> TEXT_LENGTH_BITS) as usize;
        let length = (reference & ((1 << TEXT_LENGTH_BITS) - 1)) as usize;
        self.texts.get(start..start + length).unwrap_or("")
    }

    /// The bytes of a section that holds no records.
    pub fn blob(&self, section: Section) -> &'static [u8] {
        let (offset, length) = self.sections[section as usize];
        let start = offset as usize;
        self.bytes.get(start..start + length as usize).unwrap_or(&[])
    }

    /// The bytes of everything but the cold pack.
    pub fn hot_bytes(&self) -> usize {
        self.bytes.len() - self.blob(Section::Cold).len()
    }

    /// The record among `count` from `first` whose first word is the text `name`, by binary search.
    pub fn search(&self, section: Section, first: u32, count: u32, name: &str) -> Option<u32> {
        let (mut low, mut high) = (first, first.saturating_add(count));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.text(section, middle, 0).cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn word_at(&self, offset: u32) -> u32 {
        let start = offset as usize;
        let word = self.bytes.get(start..start + 4).and_then(|bytes| bytes.try_into().ok());
        word.map_or(NONE, u32::from_le_bytes)
    }
}
