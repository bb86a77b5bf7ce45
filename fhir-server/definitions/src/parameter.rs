//! Search parameters of the base definitions.

use crate::Definitions;
use crate::layout::{Section, parameter};
use crate::version::FhirVersion;

/// The type of a search parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParamKind {
    /// A number.
    Number,
    /// A date, a time or a period.
    Date,
    /// Text, compared without case and accents.
    String,
    /// A code, maybe with its system; an identifier; a boolean.
    Token,
    /// A reference to a resource.
    Reference,
    /// Several parameters that match in one element.
    Composite,
    /// A number with a unit.
    Quantity,
    /// A URI.
    Uri,
    /// Defined by its own rules, such as `near`.
    Special,
}

impl ParamKind {
    /// Every kind, in the order of the data files.
    pub const ALL: [ParamKind; 9] = [
        ParamKind::Number,
        ParamKind::Date,
        ParamKind::String,
        ParamKind::Token,
        ParamKind::Reference,
        ParamKind::Composite,
        ParamKind::Quantity,
        ParamKind::Uri,
        ParamKind::Special,
    ];

    /// The code of the value set search-param-type.
    pub fn code(self) -> &'static str {
        match self {
            ParamKind::Number => "number",
            ParamKind::Date => "date",
            ParamKind::String => "string",
            ParamKind::Token => "token",
            ParamKind::Reference => "reference",
            ParamKind::Composite => "composite",
            ParamKind::Quantity => "quantity",
            ParamKind::Uri => "uri",
            ParamKind::Special => "special",
        }
    }

    /// The kind of a code.
    pub fn of_code(code: &str) -> Option<ParamKind> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A search parameter of one type (or of every resource).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SearchParameter {
    pub(crate) version: FhirVersion,
    pub(crate) id: u32,
}

impl std::fmt::Debug for SearchParameter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}?{}", self.base(), self.code())
    }
}

/// One part of a composite parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Code of the parameter that defines its type.
    pub code: &'static str,
    /// URL of that parameter.
    pub definition: &'static str,
    /// FHIRPath from an element that the composite's expression gives.
    pub expression: &'static str,
}

impl SearchParameter {
    fn word(self, word: u32) -> u32 {
        Definitions::of(self.version)
            .tables()
            .word(Section::Parameters, self.id, word)
    }

    fn text(self, word: u32) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Parameters, self.id, word)
    }

    /// A number that is stable within a data file; one for all types where the parameter belongs to every resource.
    pub fn id(self) -> u32 {
        self.id
    }

    /// Its FHIR version.
    pub fn version(self) -> FhirVersion {
        self.version
    }

    /// What a query calls it.
    pub fn code(self) -> &'static str {
        self.text(parameter::CODE)
    }

    /// Canonical URL.
    pub fn url(self) -> &'static str {
        self.text(parameter::URL)
    }

    /// Its type.
    pub fn kind(self) -> ParamKind {
        let kind = self.word(parameter::KIND) as usize;
        ParamKind::ALL.get(kind).copied().unwrap_or(ParamKind::Special)
    }

    /// The type that it belongs to: `Patient`, or `Resource` or `DomainResource` for those that many types have.
    pub fn base(self) -> &'static str {
        Definitions::of(self.version)
            .tables()
            .text(Section::Types, self.word(parameter::BASE), 0)
    }

    /// FHIRPath of what is indexed, for its base type alone; empty if it isn't found by a path.
    pub fn expression(self) -> &'static str {
        self.text(parameter::EXPRESSION)
    }

    /// The types that a reference parameter may point to; empty: any.
    pub fn targets(self) -> impl Iterator<Item = &'static str> {
        let tables = Definitions::of(self.version).tables();
        let (first, count) = (self.word(parameter::TARGETS), self.word(parameter::TARGETS + 1));
        (first..first.saturating_add(count)).map(move |entry| tables.text(Section::Lists, entry, 0))
    }

    /// The parts of a composite parameter, in the order of their values in a query.
    pub fn components(self) -> impl Iterator<Item = Component> {
        let tables = Definitions::of(self.version).tables();
        let (first, count) = (self.word(parameter::COMPONENTS), self.word(parameter::COMPONENTS + 1));
        (first..first.saturating_add(count)).map(move |id| Component {
            code: tables.text(Section::Components, id, 0),
            definition: tables.text(Section::Components, id, 1),
            expression: tables.text(Section::Components, id, 2),
        })
    }
}
