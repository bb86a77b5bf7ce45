//! What a search asks of storage: a tree of filters over keys, an order, a page.

use std::collections::BTreeSet;

use fhir_resource::Micros;

use crate::key::ParamId;
use crate::near::Circle;

/// Which resources, in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Only these types; empty: every type.
    pub types: BTreeSet<String>,
    /// All of them hold.
    pub filters: Vec<Filter>,
    /// The order of the page.
    pub sort: Sort,
}

impl Plan {
    /// One resource, if all of these hold for it.
    pub fn of_one(resource_type: &str, id: &str, filters: Vec<Filter>) -> Self {
        let of_id = Filter::Id(vec![id.to_owned()]);
        Self {
            types: std::iter::once(resource_type.to_owned()).collect(),
            filters: std::iter::once(of_id).chain(filters).collect(),
            sort: Sort::Creation,
        }
    }
}

/// The order of results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sort {
    /// In the order of creation, which updates don't change.
    #[default]
    Creation,
    /// By `_lastUpdated`, oldest first.
    UpdatedAscending,
    /// By `_lastUpdated`, newest first.
    UpdatedDescending,
    /// By these values, the first one first; what is equal in all of them is in the order of creation.
    Values(Vec<SortKey>),
}

/// One value to sort by. Who has none comes first ascending, and last descending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// Which value. Of several the smallest counts ascending, the greatest descending.
    pub by: SortBy,
    /// Greatest first.
    pub descending: bool,
}

/// What is sorted by: values of one of these parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortBy {
    /// The logical id.
    Id,
    /// The time of the last change.
    Updated,
    /// The text of exact keys of one form (its letter).
    Exact(Vec<ParamId>, char),
    /// The begin of periods ascending, their end descending.
    Date(Vec<ParamId>),
    /// Numbers.
    Number(Vec<ParamId>),
    /// Folded strings.
    Text(Vec<ParamId>),
}

/// A condition on one resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// One of them holds; of none: nothing does.
    Any(Vec<Filter>),
    /// All of them hold.
    All(Vec<Filter>),
    /// It doesn't hold.
    Not(Box<Filter>),
    /// One of the exact keys is there, or of tokens the code or the system that is asked for ([`crate::key::Asked`]).
    Exact(ParamId, Vec<String>),
    /// A key begins with this text.
    Prefix(ParamId, String),
    /// A period is there whose ends are in these ranges.
    Date(ParamId, Range<Micros>, Range<Micros>),
    /// A number is there whose low and high values are in these ranges, in this unit.
    Number(ParamId, NumberTest),
    /// A string is there.
    Text(ParamId, TextTest),
    /// A place within a circle is there.
    Near(ParamId, Circle),
    /// A value of any kind is there.
    Present(ParamId, Table),
    /// A reference of this parameter leads to a resource that all of these hold for.
    Linked {
        /// The reference parameter.
        param: ParamId,
        /// The type that it leads to.
        target: String,
        /// It says the URL of that resource, which has it under this parameter; `None`: `Type/id`.
        url: Option<ParamId>,
        /// What holds there.
        filters: Vec<Filter>,
    },
    /// A resource that all of these hold for refers to this one.
    LinkedBy {
        /// The reference parameter of that resource.
        param: ParamId,
        /// The type of this one.
        target: String,
        /// By the URL that this one has under this parameter; `None`: by `Type/id`.
        url: Option<ParamId>,
        /// What holds there.
        filters: Vec<Filter>,
    },
    /// All of these hold in the same element; each is about keys.
    Together(Vec<Filter>),
    /// The logical id is one of these.
    Id(Vec<String>),
    /// The time of the last change.
    Updated(Range<Micros>),
    /// The type is one of these.
    Type(Vec<String>),
}

/// Bounds that may be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range<T> {
    /// From here on, included or not.
    pub from: Option<(T, Edge)>,
    /// Up to here, included or not.
    pub to: Option<(T, Edge)>,
}

/// Whether a bound belongs to its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It does.
    Included,
    /// It doesn't.
    Excluded,
}

impl<T> Range<T> {
    /// Everything.
    pub const OPEN: Self = Self { from: None, to: None };

    /// `from` and more.
    pub fn at_least(from: T) -> Self {
        Self {
            from: Some((from, Edge::Included)),
            to: None,
        }
    }

    /// More than `from`.
    pub fn above(from: T) -> Self {
        Self {
            from: Some((from, Edge::Excluded)),
            to: None,
        }
    }

    /// `to` and less.
    pub fn at_most(to: T) -> Self {
        Self {
            from: None,
            to: Some((to, Edge::Included)),
        }
    }

    /// Less than `to`.
    pub fn below(to: T) -> Self {
        Self {
            from: None,
            to: Some((to, Edge::Excluded)),
        }
    }
}

/// What a number must be.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberTest {
    /// Range of the smallest value.
    pub low: Range<Vec<u8>>,
    /// Range of the greatest value.
    pub high: Range<Vec<u8>>,
    /// System of the unit, where it counts.
    pub system: Option<String>,
    /// Code or text of the unit, where it counts.
    pub code: Option<String>,
}

/// What a string must be. All but `Exact` are about folded strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// It begins with this.
    StartsWith(String),
    /// It contains this.
    Contains(String),
    /// It ends with this.
    EndsWith(String),
    /// It is this, without case and accents.
    Folded(String),
    /// It is this, as written; the folded form comes first.
    Exact(String, String),
}

/// Which kind of rows a parameter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Token, reference, URI.
    Exact,
    /// Date.
    Dates,
    /// Number, quantity.
    Numbers,
    /// String.
    Strings,
    /// `near`.
    Places,
}
