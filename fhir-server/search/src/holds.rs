//! Whether a filter holds for one resource whose keys are at hand: what the index would say, without the index.

use fhir_resource::Micros;

use crate::key::{Keys, NumberRow, is_asked};
use crate::plan::{Edge, Filter, NumberTest, Range, Table, TextTest};

/// A resource and its keys.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its type.
    pub resource_type: &'a str,
    /// Its id.
    pub id: &'a str,
    /// The time of its last change; `None`: it is about to be written, and no condition on the time holds.
    pub updated: Option<Micros>,
    /// What it can be found by.
    pub keys: &'a Keys,
}

/// Whether `filter` holds. What is linked and how far a place is isn't at hand: neither a condition on it nor its contrary
/// holds.
pub fn holds(filter: &Filter, subject: &Subject<'_>) -> bool {
    match filter {
        Filter::Any(filters) => filters.iter().any(|filter| holds(filter, subject)),
        Filter::All(filters) => filters.iter().all(|filter| holds(filter, subject)),
        Filter::Not(filter) => !is_unknown(filter) && !holds(filter, subject),
        Filter::Together(filters) => subject.keys.elements.iter().any(|element| {
            let subject = Subject {
                keys: element,
                ..*subject
            };
            filters.iter().all(|filter| holds(filter, &subject))
        }),
        Filter::Id(ids) => ids.iter().any(|id| id == subject.id),
        Filter::Type(types) => types.iter().any(|of| of == subject.resource_type),
        Filter::Updated(range) => subject.updated.is_some_and(|updated| range.contains(&updated)),
        Filter::Linked { .. } | Filter::LinkedBy { .. } | Filter::Near(..) => false,
        of_keys => has(of_keys, subject.keys),
    }
}

fn is_unknown(filter: &Filter) -> bool {
    match filter {
        Filter::Any(filters) | Filter::All(filters) => filters.iter().any(is_unknown),
        Filter::Not(filter) => is_unknown(filter),
        Filter::Linked { .. } | Filter::LinkedBy { .. } | Filter::Near(..) => true,
        _ => false,
    }
}

/// A condition on keys.
fn has(filter: &Filter, keys: &Keys) -> bool {
    match filter {
        Filter::Exact(wanted, texts) => keys
            .exact
            .iter()
            .any(|(param, text)| param == wanted && is_asked(text, texts)),
        Filter::Prefix(wanted, prefix) => keys
            .exact
            .iter()
            .any(|(param, text)| param == wanted && text.starts_with(prefix)),
        Filter::Date(wanted, low, high) => keys
            .dates
            .iter()
            .any(|(param, from, to)| param == wanted && low.contains(from) && high.contains(to)),
        Filter::Number(wanted, test) => keys.numbers.iter().any(|row| row.param == *wanted && number(row, test)),
        Filter::Text(wanted, test) => keys
            .strings
            .iter()
            .any(|(param, folded, exact)| param == wanted && text(folded, exact, test)),
        Filter::Present(wanted, table) => match table {
            Table::Exact => keys.exact.iter().any(|(param, ..)| param == wanted),
            Table::Dates => keys.dates.iter().any(|(param, ..)| param == wanted),
            Table::Numbers => keys.numbers.iter().any(|row| row.param == *wanted),
            Table::Strings => keys.strings.iter().any(|(param, ..)| param == wanted),
            Table::Places => keys.places.iter().any(|row| row.param == *wanted),
        },
        _ => false,
    }
}

fn number(row: &NumberRow, test: &NumberTest) -> bool {
    test.low.contains(&row.low)
        && test.high.contains(&row.high)
        && test.system.as_ref().is_none_or(|system| *system == row.system)
        && test.code.as_ref().is_none_or(|code| *code == row.code)
}

fn text(folded: &str, exact: &str, test: &TextTest) -> bool {
    match test {
        TextTest::StartsWith(begin) => folded.starts_with(begin),
        TextTest::Contains(part) => folded.contains(part),
        TextTest::EndsWith(end) => folded.ends_with(end),
        TextTest::Folded(wanted) => folded == wanted,
        TextTest::Exact(_, wanted) => exact == wanted,
    }
}

impl<T: Ord> Range<T> {
    /// Whether a value is in it.
    pub fn contains(&self, value: &T) -> bool {
        let from = self.from.as_ref().is_none_or(|(from, edge)| match edge {
            Edge::Included => value >= from,
            Edge::Excluded => value > from,
        });
        let to = self.to.as_ref().is_none_or(|(to, edge)| match edge {
            Edge::Included => value <= to,
            Edge::Excluded => value < to,
        });
        from && to
    }
}
