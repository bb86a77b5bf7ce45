//! Numbers: those of a message keep their text, comparing and calculating use the value.

use std::{cmp::Ordering, fmt};

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

/// A number of JSON.
#[derive(Debug, Clone)]
pub enum Number {
    /// A whole number of 64 bits.
    Whole(i64),
    /// A finite number that was calculated.
    Double(f64),
    /// JSON that isn't how a whole number of 64 bits is written: a fraction, an exponent, more digits.
    Written(Box<str>),
}

impl Number {
    /// From JSON.
    pub fn written(text: &str) -> Self {
        match text.parse() {
            Ok(whole) if text != "-0" => Self::Whole(whole),
            _ => Self::Written(text.into()),
        }
    }

    /// From a whole number.
    pub fn from_whole(whole: i128) -> Self {
        i64::try_from(whole).map_or_else(|_| Self::Written(whole.to_string().into()), Self::Whole)
    }

    /// From a finite number.
    pub fn from_double(double: f64) -> Option<Self> {
        double.is_finite().then_some(Self::Double(double))
    }

    /// A double as a whole number, where it is one of 64 bits.
    pub fn from_rounded(double: f64) -> Option<Self> {
        whole(double).map_or_else(|| Self::from_double(double), |whole| Some(Self::Whole(whole)))
    }

    /// Whether it is written without a fraction and an exponent.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Double(_) => false,
            Self::Written(text) => !text.contains(['.', 'e', 'E']),
        }
    }

    /// The value, where it is written as a whole number and isn't longer than 128 bits.
    pub fn whole(&self) -> Option<i128> {
        match self {
            Self::Whole(whole) => Some((*whole).into()),
            Self::Double(_) => None,
            Self::Written(text) => text.parse().ok(),
        }
    }

    /// The nearest double; infinite where the text is larger than any.
    pub fn double(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as .NET converts 64 bits to a double")]
            Self::Whole(whole) => *whole as f64,
            Self::Double(double) => *double,
            Self::Written(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// Which is smaller: whole numbers by all their digits, others as doubles.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => left.cmp(right),
            _ => match (self.whole(), other.whole()) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => self.double().partial_cmp(&other.double()).unwrap_or(Ordering::Equal),
            },
        }
    }

    /// Fractions are equal as well where only the last bit of a calculation differs.
    pub fn equals(&self, other: &Self) -> bool {
        match (self.whole(), other.whole()) {
            (Some(left), Some(right)) => left == right,
            _ => nearly_equal(self.double(), other.double()),
        }
    }
}

/// A double without a fraction, if 64 bits hold it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "what is cut off or beyond 64 bits is seen by the comparison"
)]
pub fn whole(double: f64) -> Option<i64> {
    let whole = double as i64;
    (whole as f64 == double && whole != i64::MAX).then_some(whole)
}

#[expect(clippy::float_cmp, reason = "what isn't exactly equal is asked next")]
fn nearly_equal(left: f64, right: f64) -> bool {
    left == right || (left - right).abs() / (left.abs() + right.abs()) < f64::EPSILON
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(formatter),
            Self::Double(double) => formatter.write_str(&serde_json::to_string(double).map_err(|_| fmt::Error)?),
            Self::Written(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(whole) => serializer.serialize_i64(*whole),
            Self::Double(double) => serializer.serialize_f64(*double),
            Self::Written(text) => serde_json::from_str::<&RawValue>(text)
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}
