//! Types and their elements.

use crate::binding::Binding;
use crate::layout::{MANY, Section, element, slot, type_};
use crate::parameter::SearchParameter;
use crate::version::FhirVersion;
use crate::{Definitions, some};

/// A concrete resource type, such as Patient.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType {
    version: FhirVersion,
    id: u16,
}

impl ResourceType {
    /// A number that is stable within a data file.
    pub fn id(self) -> u16 {
        self.id
    }

    /// `Patient`
    pub fn name(self) -> &'static str {
        self.structure().name()
    }

    /// Its FHIR version.
    pub fn version(self) -> FhirVersion {
        self.version
    }

    /// Its elements and the like.
    pub fn structure(self) -> Structure {
        Structure {
            version: self.version,
            id: u32::from(self.id),
        }
    }
}

impl std::fmt::Debug for ResourceType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}({})", self.name(), self.version)
    }
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What sort of type a structure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructureKind {
    /// `Patient`, `DomainResource`
    Resource,
    /// `HumanName`, `Extension`
    Complex,
    /// `date`, `string`, `xhtml`
    Primitive,
    /// `Patient.contact`
    Backbone,
}

/// A type of any kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Structure {
    pub(crate) version: FhirVersion,
    pub(crate) id: u32,
}

impl std::fmt::Debug for Structure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}({})", self.name(), self.version)
    }
}

impl Structure {
    fn word(self, word: u32) -> u32 {
        Definitions::of(self.version)
            .tables()
            .word(Section::Types, self.id, word)
    }

    /// A number that is stable within a data file.
    pub fn id(self) -> u32 {
        self.id
    }

    /// `Patient`, `HumanName`, `date`, `Patient.contact`
    pub fn name(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Types, self.id, type_::NAME)
    }

    /// Canonical URL; empty for backbone elements.
    pub fn url(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Types, self.id, type_::URL)
    }

    /// Its FHIR version.
    pub fn version(self) -> FhirVersion {
        self.version
    }

    /// What sort of type it is.
    pub fn kind(self) -> StructureKind {
        match self.word(type_::KIND) & 0xFF {
            0 => StructureKind::Resource,
            2 => StructureKind::Primitive,
            3 => StructureKind::Backbone,
            _ => StructureKind::Complex,
        }
    }

    /// Whether it only exists to be derived from.
    pub fn is_abstract(self) -> bool {
        self.word(type_::KIND) & 0x100 != 0
    }

    /// What it is derived from.
    pub fn base(self) -> Option<Structure> {
        some(self.word(type_::BASE)).map(|id| Structure {
            version: self.version,
            id,
        })
    }

    /// Whether it is `name` or derived from it.
    pub fn is_a(self, name: &str) -> bool {
        std::iter::successors(Some(self), |structure| structure.base()).any(|structure| structure.name() == name)
    }

    /// The concrete resource type that it is.
    pub fn as_resource_type(self) -> Option<ResourceType> {
        let concrete = self.kind() == StructureKind::Resource && !self.is_abstract();
        let id = u16::try_from(self.id).ok()?;
        concrete.then_some(ResourceType {
            version: self.version,
            id,
        })
    }

    /// The element of a JSON member name; `valueQuantity` is the choice `value[x]` as a Quantity.
    pub fn element(self, name: &str) -> Option<Element> {
        let first = self.word(type_::ELEMENTS);
        let count = self.word(type_::ELEMENTS + 1);
        let id = Definitions::of(self.version)
            .tables()
            .search(Section::Elements, first, count, name)?;
        Some(Element {
            version: self.version,
            owner: self.id,
            id,
        })
    }

    /// Every element in the order of the definition, each alternative of a choice by itself.
    pub fn elements(self) -> impl Iterator<Item = Element> {
        (0..self.slot_count()).flat_map(move |slot| self.slot_elements(slot))
    }

    /// The elements that FHIRPath calls `name`: one, or all alternatives of a choice.
    pub fn elements_named(self, name: &str) -> impl Iterator<Item = Element> {
        let tables = Definitions::of(self.version).tables();
        let first = self.word(type_::SLOTS);
        let found = (0..self.slot_count()).find(|slot| tables.text(Section::Slots, first + slot, slot::NAME) == name);
        found.into_iter().flat_map(move |slot| self.slot_elements(slot))
    }

    /// How many slots it has: elements, where the alternatives of a choice share one. Less than 128.
    pub fn slot_count(self) -> u32 {
        self.word(type_::SLOTS + 1)
    }

    /// Name (as FHIRPath says it), least number and greatest number (none: any) of a slot, from 0 in definition order.
    pub fn slot(self, slot: u32) -> (&'static str, u32, Option<u32>) {
        let tables = Definitions::of(self.version).tables();
        let record = self.word(type_::SLOTS) + slot;
        let max = tables.word(Section::Slots, record, slot::MAX);
        let min = tables.word(Section::Slots, record, slot::MIN);
        (
            tables.text(Section::Slots, record, slot::NAME),
            min,
            (max != MANY).then_some(max),
        )
    }

    fn slot_elements(self, slot: u32) -> impl Iterator<Item = Element> {
        let tables = Definitions::of(self.version).tables();
        let record = self.word(type_::SLOTS) + slot;
        let first = tables.word(Section::Slots, record, slot::ELEMENTS);
        let count = tables.word(Section::Slots, record, slot::ELEMENTS + 1);
        (first..first.saturating_add(count)).map(move |entry| Element {
            version: self.version,
            owner: self.id,
            id: tables.word(Section::Lists, entry, 0),
        })
    }

    pub(crate) fn own_search_parameters(self) -> impl Iterator<Item = SearchParameter> {
        let (first, count) = (self.word(type_::PARAMETERS), self.word(type_::PARAMETERS + 1));
        (first..first.saturating_add(count)).map(move |id| SearchParameter::base_record(self.version, id))
    }

    pub(crate) fn own_search_parameter(self, code: &str) -> Option<SearchParameter> {
        let (first, count) = (self.word(type_::PARAMETERS), self.word(type_::PARAMETERS + 1));
        let id = Definitions::of(self.version)
            .tables()
            .search(Section::Parameters, first, count, code)?;
        Some(SearchParameter::base_record(self.version, id))
    }
}

/// How often an element may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Max {
    /// Never (prohibited where it is inherited).
    Zero,
    /// At most once: a value, not an array.
    One,
    /// Any number: an array.
    Many,
}

/// An element of a type under one JSON member name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element {
    version: FhirVersion,
    owner: u32,
    id: u32,
}

impl std::fmt::Debug for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.owner().name(), self.name())
    }
}

impl Element {
    fn word(self, word: u32) -> u32 {
        Definitions::of(self.version)
            .tables()
            .word(Section::Elements, self.id, word)
    }

    /// JSON member name: `valueQuantity`.
    pub fn name(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Elements, self.id, element::NAME)
    }

    /// Name in FHIRPath: `value`.
    pub fn base_name(self) -> &'static str {
        self.owner().slot(self.slot()).0
    }

    /// The type that it belongs to.
    pub fn owner(self) -> Structure {
        Structure {
            version: self.version,
            id: self.owner,
        }
    }

    /// Its slot in the type that it belongs to.
    pub fn slot(self) -> u32 {
        self.word(element::SLOT)
    }

    /// Whether it is one alternative of a choice.
    pub fn is_choice(self) -> bool {
        self.word(element::FLAGS) & element::CHOICE != 0
    }

    /// Whether it is part of the summary.
    pub fn is_summary(self) -> bool {
        self.word(element::FLAGS) & element::SUMMARY != 0
    }

    /// Whether it changes the meaning of what holds it.
    pub fn is_modifier(self) -> bool {
        self.word(element::FLAGS) & element::MODIFIER != 0
    }

    /// Whether its type is that of another element, as in `Questionnaire.item.item`.
    pub fn is_content_reference(self) -> bool {
        self.word(element::FLAGS) & element::CONTENT_REFERENCE != 0
    }

    /// Least number; for a choice of all its alternatives together.
    pub fn min(self) -> u32 {
        self.owner().slot(self.slot()).1
    }

    /// Greatest number.
    pub fn max(self) -> Max {
        match self.owner().slot(self.slot()).2 {
            Some(0) => Max::Zero,
            Some(1) => Max::One,
            _ => Max::Many,
        }
    }

    /// Its type; for backbone elements and content references the structure of that path.
    pub fn structure(self) -> Structure {
        Structure {
            version: self.version,
            id: self.word(element::TYPE),
        }
    }

    /// The types that a reference (or canonical) may point to; empty: any.
    pub fn targets(self) -> impl Iterator<Item = &'static str> {
        let tables = Definitions::of(self.version).tables();
        let (first, count) = (self.word(element::TARGETS), self.word(element::TARGETS + 1));
        (first..first.saturating_add(count)).map(move |entry| tables.text(Section::Lists, entry, 0))
    }

    /// Its binding to a value set.
    pub fn binding(self) -> Option<Binding> {
        some(self.word(element::BINDING)).map(|id| Binding {
            version: self.version,
            id,
        })
    }
}
