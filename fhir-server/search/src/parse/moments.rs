//! Dates and times of a search: from the text to the ranges that values must be in.

use fhir_resource::{Micros, temporal};

use super::filters::bad;
use crate::error::SearchError;
use crate::key::ParamId;
use crate::plan::{Edge, Filter, Range};
use crate::value::{self, Prefix};

/// Digits of a second's fraction that a search may have, as with Microsoft.
const MAX_FRACTION: usize = 7;

/// What stands before a date, and the microseconds that it begins and ends in.
type Period = (Prefix, Micros, Micros);

/// Reads a date or time with its prefix.
pub fn period(code: &str, text: &str) -> Result<Period, SearchError> {
    let (prefix, text) = value::prefix(text);
    // a plus that wasn't escaped has come as a blank
    let plus = text.replace(' ', "+");
    let text = plus.as_str();
    let fraction = text.split_once('.').map_or("", |(_, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        &rest[..digits]
    });
    let moment = temporal::parse(text).filter(|_| fraction.len() <= MAX_FRACTION);
    let moment = moment.ok_or_else(|| bad(code, text, "a date or a time"))?;
    if is_between(fraction) {
        return Ok((prefix, moment.start + 1, moment.end));
    }
    Ok((prefix, moment.start, moment.end))
}

/// Whether a fraction of a second lies between two microseconds, which times are kept in: such a moment is after the one
/// and before the other, so that it begins later than it ends. The last moment of a second is how periods end, instead.
fn is_between(fraction: &str) -> bool {
    fraction
        .get(6..)
        .is_some_and(|rest| rest.bytes().any(|digit| digit != b'0'))
        && fraction.bytes().any(|digit| digit != b'9')
}

/// A tenth of the time between then and now would need a clock: `ap` takes a day to both sides.
const APPROXIMATE: Micros = 86_400_000_000;

/// Periods overlap for `eq` (Microsoft's default; FHIR asks for containment), `ne` is not contained.
pub fn dates(param: ParamId, (prefix, start, end): Period) -> Filter {
    let date = |low, high| Filter::Date(param, low, high);
    match prefix {
        Prefix::Equal => date(Range::at_most(end), Range::at_least(start)),
        Prefix::Approximate => date(Range::at_most(end + APPROXIMATE), Range::at_least(start - APPROXIMATE)),
        Prefix::NotEqual => Filter::Any(vec![
            date(Range::below(start), Range::OPEN),
            date(Range::OPEN, Range::above(end)),
        ]),
        Prefix::Greater => date(Range::OPEN, Range::above(end)),
        Prefix::Less => date(Range::below(start), Range::OPEN),
        Prefix::GreaterOrEqual => date(Range::OPEN, Range::at_least(start)),
        Prefix::LessOrEqual => date(Range::at_most(end), Range::OPEN),
        Prefix::StartsAfter => date(Range::above(end), Range::OPEN),
        Prefix::EndsBefore => date(Range::OPEN, Range::below(start)),
    }
}

/// The same for the time of the last change, which is a moment.
pub fn updated((prefix, start, end): Period) -> Filter {
    let within = Range {
        from: Some((start, Edge::Included)),
        to: Some((end, Edge::Included)),
    };
    match prefix {
        Prefix::Equal => Filter::Updated(within),
        Prefix::Approximate => Filter::Updated(Range {
            from: Some((start - APPROXIMATE, Edge::Included)),
            to: Some((end + APPROXIMATE, Edge::Included)),
        }),
        Prefix::NotEqual => Filter::Any(vec![
            Filter::Updated(Range::below(start)),
            Filter::Updated(Range::above(end)),
        ]),
        Prefix::Greater | Prefix::StartsAfter => Filter::Updated(Range::above(end)),
        Prefix::Less | Prefix::EndsBefore => Filter::Updated(Range::below(start)),
        Prefix::GreaterOrEqual => Filter::Updated(Range::at_least(start)),
        Prefix::LessOrEqual => Filter::Updated(Range::at_most(end)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_between;

    #[rstest]
    #[case("", false)]
    #[case("5", false)]
    #[case("5000000", false)]
    #[case("5000001", true)]
    #[case("4999999", true)]
    #[case("9999999", false)]
    fn moments_between_microseconds(#[case] fraction: &str, #[case] between: bool) {
        assert_eq!(is_between(fraction), between);
    }
}
