//! Comparisons in filters, with Newtonsoft's conversions.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::{Literal, Operator};
use crate::{json::Value, time};

/// A number of JSON: whole ones are compared exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    double: f64,
    whole: Option<i64>,
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(Self {
            double: text.parse().ok()?,
            whole: text.parse().ok(),
        })
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self.whole, other.whole) {
            (Some(own), Some(other)) => Some(own.cmp(&other)),
            _ => self.double.partial_cmp(&other.double),
        }
    }
}

/// One side of a comparison.
pub(super) enum Side<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Container,
}

impl<'a> Side<'a> {
    pub(super) fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Number(value) => Self::Number(*value),
            Literal::Text(text) => Self::Text(text),
        }
    }

    pub(super) fn of_value(value: &'a Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(text) => Number::parse(text).map_or(Self::Null, Self::Number),
            Value::String(text) => Self::Text(text),
            Value::Array | Value::Object => Self::Container,
        }
    }

    fn number(&self) -> Option<Number> {
        let of_bool = |value| Number {
            double: f64::from(u8::from(value)),
            whole: Some(i64::from(value)),
        };
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => Number::parse(text.trim()),
            Self::Bool(value) => Some(of_bool(*value)),
            Self::Null | Self::Container => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Number(number) => Some(number.double != 0.0),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
            Self::Text(_) | Self::Null | Self::Container => None,
        }
    }
}

/// Whether a comparison holds. An object or a list is only ever unequal.
pub(super) fn compare(left: &Side<'_>, operator: Operator, right: &Side<'_>) -> bool {
    if matches!(left, Side::Container) || matches!(right, Side::Container) {
        return operator == Operator::NotEqual;
    }
    match operator {
        Operator::Equal | Operator::StrictEqual => equal(left, right),
        Operator::NotEqual | Operator::StrictNotEqual => !equal(left, right),
        Operator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
    }
}

fn equal(left: &Side<'_>, right: &Side<'_>) -> bool {
    match (left, right) {
        (Side::Null, Side::Null) => true,
        (Side::Bool(left), Side::Bool(right)) => left == right,
        (Side::Number(left), Side::Number(right)) => left.compare(*right) == Some(Ordering::Equal),
        (Side::Text(left), Side::Text(right)) => left == right,
        _ => false,
    }
}

/// As Newtonsoft's `JValue.CompareTo`: `null` comes before everything, and a text is read as what it is compared with.
fn order(left: &Side<'_>, right: &Side<'_>) -> Option<Ordering> {
    match (left, right) {
        (Side::Null, Side::Null) => Some(Ordering::Equal),
        (Side::Null, _) => Some(Ordering::Less),
        (_, Side::Null) => Some(Ordering::Greater),
        (Side::Text(left), Side::Text(right)) => match (date(left), time::parse(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => Some(left.cmp(right)),
        },
        (Side::Number(_), _) | (Side::Text(_), Side::Number(_)) => left.number()?.compare(right.number()?),
        (Side::Bool(_), _) | (Side::Text(_), Side::Bool(_)) => Some(left.bool()?.cmp(&right.bool()?)),
        (Side::Container, _) | (_, Side::Container) => None,
    }
}

fn date(text: &str) -> Option<Timestamp> {
    time::is_date_token(text).then(|| time::parse(text)).flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn number(double: f64) -> Side<'static> {
        Side::Number(Number { double, whole: None })
    }

    fn whole(text: &str) -> Side<'static> {
        Side::Number(Number::parse(text).unwrap())
    }

    #[rstest]
    #[case(number(2.0), Side::Text("1.5"), Some(Ordering::Greater))]
    #[case(Side::Text("10"), number(9.0), Some(Ordering::Greater))]
    #[case(Side::Text("10"), Side::Text("9"), Some(Ordering::Less))]
    #[case(Side::Text("fast"), number(9.0), None)]
    #[case(Side::Null, number(-1.0), Some(Ordering::Less))]
    #[case(Side::Bool(false), Side::Null, Some(Ordering::Greater))]
    #[case(Side::Bool(true), Side::Text("False"), Some(Ordering::Greater))]
    #[case(Side::Bool(true), number(1.0), Some(Ordering::Equal))]
    #[case(
        Side::Text("2026-01-01T10:00:00+02:00"),
        Side::Text("2026-01-01T09:00:00Z"),
        Some(Ordering::Less)
    )]
    #[case(whole("9007199254740993"), whole("9007199254740992"), Some(Ordering::Greater))]
    fn sides_are_ordered_by_the_left_ones_type(
        #[case] left: Side<'_>,
        #[case] right: Side<'_>,
        #[case] expected: Option<Ordering>,
    ) {
        assert_eq!(order(&left, &right), expected);
    }
}
