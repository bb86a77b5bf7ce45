//! Search parameters: those of the base definitions, and those of the service's own ([`StoredParameter`]).

use crate::Definitions;
use crate::layout::{Section, Tables, parameter};
use crate::stored::{self, StoredParameter};
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
    pub(crate) source: Source,
}

/// Where its definition is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A record of the data file.
    Base(u32),
    /// A definition of the service's own.
    Stored(&'static StoredParameter),
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
    pub(crate) fn base_record(version: FhirVersion, id: u32) -> Self {
        Self {
            version,
            source: Source::Base(id),
        }
    }

    /// A parameter of the service's own, which is known as long as the process runs; the same definition is kept once.
    pub fn stored(version: FhirVersion, definition: StoredParameter) -> Self {
        Self {
            version,
            source: Source::Stored(stored::keep(definition)),
        }
    }

    /// The definition of a parameter that isn't one of FHIR's.
    pub fn as_stored(self) -> Option<&'static StoredParameter> {
        match self.source {
            Source::Base(_) => None,
            Source::Stored(stored) => Some(stored),
        }
    }

    fn tables(self) -> &'static Tables {
        Definitions::of(self.version).tables()
    }

    fn text(self, word: u32, stored: impl Fn(&'static StoredParameter) -> &'static str) -> &'static str {
        match self.source {
            Source::Base(id) => self.tables().text(Section::Parameters, id, word),
            Source::Stored(definition) => stored(definition),
        }
    }

    /// A number that is stable within a data file, or that the database gave; one for all types where the parameter
    /// belongs to every resource.
    pub fn id(self) -> u32 {
        match self.source {
            Source::Base(id) => id,
            Source::Stored(stored) => stored.number,
        }
    }

    /// Its FHIR version.
    pub fn version(self) -> FhirVersion {
        self.version
    }

    /// What a query calls it.
    pub fn code(self) -> &'static str {
        self.text(parameter::CODE, |stored| &stored.code)
    }

    /// Canonical URL.
    pub fn url(self) -> &'static str {
        self.text(parameter::URL, |stored| &stored.url)
    }

    /// Its type.
    pub fn kind(self) -> ParamKind {
        match self.source {
            Source::Base(id) => {
                let kind = self.tables().word(Section::Parameters, id, parameter::KIND) as usize;
                ParamKind::ALL.get(kind).copied().unwrap_or(ParamKind::Special)
            }
            Source::Stored(stored) => stored.kind,
        }
    }

    /// The type that it belongs to: `Patient`, or `Resource` or `DomainResource` for those that many types have.
    pub fn base(self) -> &'static str {
        match self.source {
            Source::Base(id) => {
                let tables = self.tables();
                tables.text(Section::Types, tables.word(Section::Parameters, id, parameter::BASE), 0)
            }
            Source::Stored(stored) => &stored.base,
        }
    }

    /// FHIRPath of what is indexed, for its base type alone; empty if it isn't found by a path.
    pub fn expression(self) -> &'static str {
        self.text(parameter::EXPRESSION, |stored| &stored.expression)
    }

    /// First and number of the entries of a list of a record.
    fn list(self, word: u32) -> std::ops::Range<u32> {
        let Source::Base(id) = self.source else { return 0..0 };
        let tables = self.tables();
        let first = tables.word(Section::Parameters, id, word);
        first..first.saturating_add(tables.word(Section::Parameters, id, word + 1))
    }

    /// The types that a reference parameter may point to; empty: any.
    pub fn targets(self) -> impl Iterator<Item = &'static str> {
        let own = self.as_stored().into_iter().flat_map(|stored| &stored.targets);
        let tables = self.tables();
        self.list(parameter::TARGETS)
            .map(move |entry| tables.text(Section::Lists, entry, 0))
            .chain(own.map(String::as_str))
    }

    /// The parts of a composite parameter, in the order of their values in a query.
    pub fn components(self) -> impl Iterator<Item = Component> {
        let own = self.as_stored().into_iter().flat_map(|stored| &stored.components);
        let tables = self.tables();
        self.list(parameter::COMPONENTS)
            .map(move |id| Component {
                code: tables.text(Section::Components, id, 0),
                definition: tables.text(Section::Components, id, 1),
                expression: tables.text(Section::Components, id, 2),
            })
            .chain(own.map(|component| Component {
                code: "",
                definition: &component.definition,
                expression: &component.expression,
            }))
    }
}
