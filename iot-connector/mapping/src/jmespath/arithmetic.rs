//! Numbers of the custom functions: whole ones of 64 bits, and doubles. Source: iomt-fhir, docs/CustomFunctions.md.

use serde_json::Number;

use crate::template::Compatibility;

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numeric {
    /// Without a fraction or an exponent.
    Whole(i64),
    /// Any other.
    Double(f64),
}

const TOO_LARGE: &str = "the result doesn't fit into a number";

impl Numeric {
    /// From JSON.
    pub fn of(number: &Number) -> Self {
        number
            .as_i64()
            .map_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)), Self::Whole)
    }

    /// To JSON.
    pub fn number(self) -> Result<Number, String> {
        match self {
            Self::Whole(whole) => Ok(whole.into()),
            Self::Double(double) => Number::from_f64(double).ok_or_else(|| TOO_LARGE.to_owned()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as .NET converts 64 bits to a double")]
    fn double(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Double(double) => double,
        }
    }
}

/// What two numbers are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `add`
    Add,
    /// `subtract`
    Subtract,
    /// `multiply`
    Multiply,
    /// `divide`
    Divide,
    /// `pow`
    Power,
}

/// The result; whole numbers stay whole where that is exact. iomt-fhir divides whole numbers without their rest, and lets
/// results that are too large begin anew from below.
pub fn compute(
    operation: Operation,
    left: Numeric,
    right: Numeric,
    compatibility: Compatibility,
) -> Result<Numeric, String> {
    let upstream = compatibility == Compatibility::Upstream;
    if let (Numeric::Whole(left), Numeric::Whole(right)) = (left, right) {
        let (checked, wrapped) = match operation {
            Operation::Add => (left.checked_add(right), left.wrapping_add(right)),
            Operation::Subtract => (left.checked_sub(right), left.wrapping_sub(right)),
            Operation::Multiply => (left.checked_mul(right), left.wrapping_mul(right)),
            Operation::Divide => return divide(left, right, upstream),
            Operation::Power => return power(left, right, upstream),
        };
        let result = if upstream { Some(wrapped) } else { checked };
        return result.map(Numeric::Whole).ok_or_else(|| TOO_LARGE.to_owned());
    }
    let (left, right) = (left.double(), right.double());
    if operation == Operation::Divide && right == 0.0 {
        return Err(BY_ZERO.to_owned());
    }
    let result = match operation {
        Operation::Add => left + right,
        Operation::Subtract => left - right,
        Operation::Multiply => left * right,
        Operation::Divide => left / right,
        Operation::Power => left.powf(right),
    };
    if result.is_finite() {
        Ok(Numeric::Double(result))
    } else {
        Err(TOO_LARGE.to_owned())
    }
}

const BY_ZERO: &str = "a number is divided by zero";

fn divide(left: i64, right: i64, upstream: bool) -> Result<Numeric, String> {
    if right == 0 {
        return Err(BY_ZERO.to_owned());
    }
    let whole = left.checked_div(right).ok_or_else(|| TOO_LARGE.to_owned())?;
    if upstream || left.wrapping_rem(right) == 0 {
        Ok(Numeric::Whole(whole))
    } else {
        Ok(Numeric::Double(
            Numeric::Whole(left).double() / Numeric::Whole(right).double(),
        ))
    }
}

fn power(left: i64, right: i64, upstream: bool) -> Result<Numeric, String> {
    let exact = u32::try_from(right).ok().and_then(|right| left.checked_pow(right));
    if let Some(exact) = exact {
        return Ok(Numeric::Whole(exact));
    }
    let double = Numeric::Whole(left).double().powf(Numeric::Whole(right).double());
    if right < 0 && double.is_finite() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most 1 for a negative power of a whole number"
        )]
        return Ok(if upstream || left.abs() == 1 {
            Numeric::Whole(double.round_ties_even() as i64)
        } else {
            Numeric::Double(double)
        });
    }
    Err(TOO_LARGE.to_owned())
}
