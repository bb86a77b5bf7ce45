//! Decimals of FHIRPath: 28 digits, exact, with the precision as written.

use rust_decimal::{Decimal, RoundingStrategy};

/// Reads a JSON number, with an exponent or without one; what is beyond 28 digits is no number that can be reckoned with.
pub fn read(text: &str) -> Option<Decimal> {
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// Whether both are the same, rounded to the precision of the less precise one.
pub fn equivalent(left: Decimal, right: Decimal) -> bool {
    let digits = left.normalize().scale().min(right.normalize().scale());
    left.round_dp(digits) == right.round_dp(digits)
}

/// The least (or greatest) value that a number of this precision may stand for, to `digits` digits after the point.
pub fn boundary(number: Decimal, digits: i64, high: bool) -> Option<Decimal> {
    let digits = u32::try_from(digits).ok().filter(|digits| *digits <= 28)?;
    let half = Decimal::try_new(5, number.scale().checked_add(1)?).ok()?;
    let edge = if high {
        number.checked_add(half)?
    } else {
        number.checked_sub(half)?
    };
    let rounding = if high {
        RoundingStrategy::ToPositiveInfinity
    } else {
        RoundingStrategy::ToNegativeInfinity
    };
    // A coarser precision than the number's own doesn't widen it beyond the digit that it has.
    let mut rounded = edge.round_dp_with_strategy(digits, rounding);
    rounded.rescale(digits);
    Some(rounded)
}
