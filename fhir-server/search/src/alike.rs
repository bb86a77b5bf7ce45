//! What finds resources that say the same as one that is given.

use fhir_resource::Micros;

use crate::key::{self, Keys, NumberRow, ParamId, REFERENCE};
use crate::plan::{Filter, NumberTest, Range, TextTest};

/// One condition for each value that `keys` hold: codes with their system where there is one, periods that overlap,
/// strings from their begin. References say who somebody is elsewhere, and are left out unless they are asked for.
pub fn filters(keys: &Keys, with_references: bool) -> Vec<Filter> {
    let own = |param: &ParamId| !param.is_compartment() && !param.is_further();
    let exact = keys.exact.iter().filter(|(param, _)| own(param));
    let exact = exact.filter(|(_, key)| match key.as_bytes().first() {
        Some(b'x') => false,
        _ if key::parts(key).is_some_and(|(_, code)| code.is_empty()) => false,
        _ => with_references || !key.starts_with(REFERENCE),
    });
    let exact = exact.map(|(param, key)| Filter::Exact(*param, vec![key.clone()]));
    let dates = keys.dates.iter().map(|(param, low, high)| overlap(*param, *low, *high));
    let strings = keys.strings.iter();
    let strings = strings.map(|(param, folded, _)| Filter::Text(*param, TextTest::StartsWith(folded.clone())));
    exact
        .chain(dates)
        .chain(strings)
        .chain(keys.numbers.iter().filter(|row| own(&row.param)).map(number))
        .collect()
}

fn overlap(param: ParamId, low: Micros, high: Micros) -> Filter {
    Filter::Date(param, Range::at_most(high), Range::at_least(low))
}

fn number(row: &NumberRow) -> Filter {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    Filter::Number(
        row.param,
        NumberTest {
            low: Range::at_most(row.high.clone()),
            high: Range::at_least(row.low.clone()),
            system: said(&row.system),
            code: said(&row.code),
        },
    )
}
