//! The functions of iomt-fhir (docs/CustomFunctions.md there).

use jiff::{SignedDuration, Timestamp};

use super::{Arguments, Count::Exactly, Function};
use crate::{
    jmespath::{
        EvaluationError,
        arithmetic::{Numeric, Operation, compute},
        interpret::Evaluated,
        value::{Rcvar, Variable},
    },
    template::Compatibility,
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("add", Exactly(2), |arguments| calculated(arguments, Operation::Add)),
    Function::new("subtract", Exactly(2), |arguments| {
        calculated(arguments, Operation::Subtract)
    }),
    Function::new("multiply", Exactly(2), |arguments| {
        calculated(arguments, Operation::Multiply)
    }),
    Function::new("divide", Exactly(2), |arguments| {
        calculated(arguments, Operation::Divide)
    }),
    Function::new("pow", Exactly(2), |arguments| calculated(arguments, Operation::Power)),
    Function::new("insertString", Exactly(3), inserted),
    Function::new("fromUnixTimestamp", Exactly(1), |arguments| {
        time(arguments, Unit::Seconds)
    }),
    Function::new("fromUnixTimestampMs", Exactly(1), |arguments| {
        time(arguments, Unit::Milliseconds)
    }),
];

/// A number to calculate with.
fn operand(arguments: &Arguments<'_>, index: usize) -> Result<Numeric, EvaluationError> {
    let number = arguments.number(index)?;
    Numeric::of(number).ok_or_else(|| {
        arguments.failed(&format!(
            "argument {} has to fit into 64 bits: {number} doesn't",
            index + 1
        ))
    })
}

fn calculated(arguments: &Arguments<'_>, operation: Operation) -> Evaluated {
    let (left, right) = (operand(arguments, 0)?, operand(arguments, 1)?);
    let result = compute(operation, left, right, arguments.compatibility());
    let result = result.map_err(|problem| arguments.failed(problem))?;
    Ok(Rcvar::new(Variable::Number(result.into())))
}

/// Positions count UTF-16 code units, as .NET's texts do.
fn inserted(arguments: &Arguments<'_>) -> Evaluated {
    let (original, inserted) = (arguments.text(0)?, arguments.text(1)?);
    let Numeric::Whole(position) = operand(arguments, 2)? else {
        return Err(arguments.failed("the position isn't a whole number"));
    };
    let (before, after) = place(original, position)
        .and_then(|at| original.split_at_checked(at))
        .ok_or_else(|| arguments.failed(&format!("position {position} isn't one of the text")))?;
    Ok(Rcvar::new(Variable::String([before, inserted, after].concat())))
}

/// The byte at a position; `None` beyond the text and between the halves of a character.
fn place(text: &str, position: i64) -> Option<usize> {
    let mut left = usize::try_from(position).ok()?;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// What is counted since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    const fn nanoseconds(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
        }
    }
}

/// The first moment of the year 1, in nanoseconds since 1970.
const FIRST: i128 = -62_135_596_800_000_000_000;

/// In UTC, as RFC 3339 writes it. iomt-fhir takes whole numbers only.
fn time(arguments: &Arguments<'_>, unit: Unit) -> Evaluated {
    let since = match operand(arguments, 0)? {
        Numeric::Whole(whole) => i128::from(whole) * i128::from(unit.nanoseconds()),
        Numeric::Double(_) if arguments.compatibility() == Compatibility::Upstream => {
            return Err(arguments.failed("the time isn't a whole number"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "what is too large becomes the largest, which is no time"
        )]
        Numeric::Double(double) => (double * unit.nanoseconds() as f64).round() as i128,
    };
    let time = SignedDuration::try_from_nanos_i128(since)
        .filter(|_| since >= FIRST)
        .and_then(|since| Timestamp::UNIX_EPOCH.checked_add(since).ok())
        .ok_or_else(|| arguments.failed("the number isn't a time between the years 1 and 9999"))?;
    Ok(Rcvar::new(Variable::String(time.to_string())))
}
