//! Numbers of the custom functions: whole ones of 64 bits, and doubles. Source: iomt-fhir, docs/CustomFunctions.md.

use super::number::{self, Number};
use crate::template::Compatibility;

/// A number to calculate with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numeric {
    /// Written without a fraction or an exponent.
    Whole(i64),
    /// Any other.
    Double(f64),
}

/// Why a calculation has no result.
pub const TOO_LARGE: &str = "the result doesn't fit into a number";
const BY_ZERO: &str = "a number is divided by zero";

impl Numeric {
    /// `None` for a whole number beyond 64 bits.
    pub fn of(number: &Number) -> Option<Self> {
        match number {
            Number::Whole(whole) => Some(Self::Whole(*whole)),
            Number::Double(double) => Some(Self::Double(*double)),
            Number::Written(text) if number.is_whole() => text.parse().ok().map(Self::Whole),
            Number::Written(_) => Some(Self::Double(number.double())),
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

impl From<Numeric> for Number {
    fn from(number: Numeric) -> Self {
        match number {
            Numeric::Whole(whole) => Self::Whole(whole),
            Numeric::Double(double) => Self::Double(double),
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
) -> Result<Numeric, &'static str> {
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
        return result.map(Numeric::Whole).ok_or(TOO_LARGE);
    }
    let (left, right) = (left.double(), right.double());
    if operation == Operation::Divide && right == 0.0 {
        return Err(BY_ZERO);
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
        Err(TOO_LARGE)
    }
}

fn divide(left: i64, right: i64, upstream: bool) -> Result<Numeric, &'static str> {
    if right == 0 {
        return Err(BY_ZERO);
    }
    let whole = left.checked_div(right).ok_or(TOO_LARGE)?;
    if upstream || left.wrapping_rem(right) == 0 {
        Ok(Numeric::Whole(whole))
    } else {
        Ok(Numeric::Double(
            Numeric::Whole(left).double() / Numeric::Whole(right).double(),
        ))
    }
}

/// iomt-fhir has it calculated in doubles, and rounds to a whole number.
fn power(left: i64, right: i64, upstream: bool) -> Result<Numeric, &'static str> {
    let double = || Numeric::Whole(left).double().powf(Numeric::Whole(right).double());
    let rounded = || number::whole(double().round_ties_even()).map(Numeric::Whole);
    let result = match u32::try_from(right) {
        _ if upstream => rounded(),
        Ok(right) => left.checked_pow(right).map(Numeric::Whole),
        Err(_) if matches!(left, -1..=1) => rounded(),
        Err(_) if right < 0 => Some(Numeric::Double(double())),
        Err(_) => None,
    };
    result.ok_or(TOO_LARGE)
}
