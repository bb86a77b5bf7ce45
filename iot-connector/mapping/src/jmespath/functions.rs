//! The functions of the specification and the eight of iomt-fhir (docs/CustomFunctions.md there).

use ::jmespath::{
    Context, ErrorReason, JmespathError, Rcvar, Runtime, Variable,
    functions::{ArgumentType, CustomFunction, Signature},
};
use jiff::{SignedDuration, Timestamp};

use super::arithmetic::{Numeric, Operation, compute};
use crate::template::Compatibility;

/// Seconds and milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Arithmetic(Operation),
    InsertString,
    FromUnix(Unit),
}

const OWN: [(&str, Own); 8] = [
    ("add", Own::Arithmetic(Operation::Add)),
    ("subtract", Own::Arithmetic(Operation::Subtract)),
    ("multiply", Own::Arithmetic(Operation::Multiply)),
    ("divide", Own::Arithmetic(Operation::Divide)),
    ("pow", Own::Arithmetic(Operation::Power)),
    ("insertString", Own::InsertString),
    ("fromUnixTimestamp", Own::FromUnix(Unit::Seconds)),
    ("fromUnixTimestampMs", Own::FromUnix(Unit::Milliseconds)),
];

impl Own {
    fn signature(self) -> Vec<ArgumentType> {
        let (number, string) = (ArgumentType::Number, ArgumentType::String);
        match self {
            Self::Arithmetic(_) => vec![number.clone(), number],
            Self::InsertString => vec![string.clone(), string, number],
            Self::FromUnix(_) => vec![number],
        }
    }

    fn call(self, arguments: &[Rcvar], compatibility: Compatibility) -> Result<Variable, String> {
        let number = |index: usize| match arguments.get(index).map(|argument| &**argument) {
            Some(Variable::Number(number)) => Ok(Numeric::of(number)),
            _ => Err(format!("argument {} isn't a number", index + 1)),
        };
        let text = |index: usize| match arguments.get(index).map(|argument| &**argument) {
            Some(Variable::String(text)) => Ok(text.as_str()),
            _ => Err(format!("argument {} isn't a string", index + 1)),
        };
        match self {
            Self::Arithmetic(operation) => {
                let result = compute(operation, number(0)?, number(1)?, compatibility)?;
                result.number().map(Variable::Number)
            }
            Self::InsertString => insert(text(0)?, text(1)?, number(2)?).map(Variable::String),
            Self::FromUnix(unit) => from_unix(number(0)?, unit).map(Variable::String),
        }
    }
}

/// How many arguments one of our own takes.
pub fn arguments(name: &str) -> Option<usize> {
    let (_, own) = OWN.into_iter().find(|(own, _)| *own == name)?;
    Some(own.signature().len())
}

/// All functions.
pub fn runtime(compatibility: Compatibility) -> Runtime {
    let mut runtime = Runtime::new();
    runtime.register_builtin_functions();
    let signature = Signature::new(vec![ArgumentType::Any], None);
    let to_number = |arguments: &[Rcvar], _: &mut Context<'_>| Ok(to_number(arguments));
    runtime.register_function(
        "to_number",
        Box::new(CustomFunction::new(signature, Box::new(to_number))),
    );
    for (name, own) in OWN {
        let call = move |arguments: &[Rcvar], context: &mut Context<'_>| {
            let failed = |problem: String| {
                let reason = ErrorReason::Parse(format!("{name}: {problem}"));
                JmespathError::from_ctx(context, reason)
            };
            own.call(arguments, compatibility).map(Rcvar::new).map_err(failed)
        };
        let function = CustomFunction::new(Signature::new(own.signature(), None), Box::new(call));
        runtime.register_function(name, Box::new(function));
    }
    runtime
}

/// In place of the crate's: a whole number of 64 bits where the text is one, else a double, as JmesPath.Net does it.
fn to_number(arguments: &[Rcvar]) -> Rcvar {
    match arguments {
        [number] if number.is_number() => number.clone(),
        [text] => {
            let number = text.as_string().and_then(|text| super::number(text.trim()));
            Rcvar::new(number.map_or(Variable::Null, Variable::Number))
        }
        _ => Rcvar::new(Variable::Null),
    }
}

/// Positions count UTF-16 code units, as .NET's strings do.
fn insert(original: &str, inserted: &str, position: Numeric) -> Result<String, String> {
    let Numeric::Whole(position) = position else {
        return Err("the position isn't a whole number".to_owned());
    };
    let mut left = position;
    let mut characters = original.char_indices();
    let at = loop {
        match characters.next() {
            _ if left < 0 => break None,
            Some((index, _)) if left == 0 => break Some(index),
            None if left == 0 => break Some(original.len()),
            Some((_, character)) => left -= i64::try_from(character.len_utf16()).unwrap_or(1),
            None => break None,
        }
    };
    let (before, after) = at
        .and_then(|at| original.split_at_checked(at))
        .ok_or_else(|| format!("position {position} isn't one of the text"))?;
    Ok([before, inserted, after].concat())
}

/// In UTC, as RFC 3339 writes it.
fn from_unix(number: Numeric, unit: Unit) -> Result<String, String> {
    let per_second = match unit {
        Unit::Seconds => 1,
        Unit::Milliseconds => 1_000,
    };
    let since = match number {
        Numeric::Whole(whole) => i128::from(whole).checked_mul(1_000_000_000 / per_second),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "what is too large becomes the largest, which is no time"
        )]
        Numeric::Double(double) => Some((double * 1e9 / per_second as f64).round() as i128),
    };
    let time = since.and_then(|since| {
        let since = SignedDuration::try_from_nanos_i128(since)?;
        Timestamp::UNIX_EPOCH.checked_add(since).ok()
    });
    time.map(|time| time.to_string())
        .ok_or_else(|| "the number isn't a time between the years 1 and 9999".to_owned())
}
