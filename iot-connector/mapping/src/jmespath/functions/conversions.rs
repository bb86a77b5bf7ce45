//! Types of values: `not_null`, `to_array`, `to_number`, `to_string`, `type`.

use super::{
    Arguments,
    Count::{AtLeast, Exactly},
    Function,
};
use crate::{
    jmespath::{
        interpret::Evaluated,
        number::Number,
        text,
        value::{Rcvar, Variable},
    },
    template::Compatibility,
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("not_null", AtLeast(1), |arguments| Ok(not_null(arguments))),
    Function::new("to_array", Exactly(1), |arguments| Ok(to_array(arguments))),
    Function::new("to_number", Exactly(1), |arguments| Ok(to_number(arguments))),
    Function::new("to_string", Exactly(1), to_string),
    Function::new("type", Exactly(1), |arguments| Ok(kind(arguments))),
];

fn not_null(arguments: &Arguments<'_>) -> Rcvar {
    let found = arguments.all().iter().find(|value| !matches!(***value, Variable::Null));
    found.cloned().unwrap_or_else(|| Rcvar::new(Variable::Null))
}

fn to_array(arguments: &Arguments<'_>) -> Rcvar {
    let value = arguments.shared(0);
    match &*value {
        Variable::Array(_) => value,
        _ => Rcvar::new(Variable::Array(vec![value])),
    }
}

/// A whole number where the text is one, else a double, as JmesPath.Net does it; iomt-fhir has no whole numbers beyond 64
/// bits here.
fn to_number(arguments: &Arguments<'_>) -> Rcvar {
    let number = match arguments.value(0) {
        Variable::Number(_) => return arguments.shared(0),
        Variable::String(text) => {
            let text = text.trim();
            let is_whole = match arguments.compatibility() {
                Compatibility::Standard => text.parse::<i128>().ok().map(Number::from_whole),
                Compatibility::Upstream => text.parse().ok().map(Number::Whole),
            };
            is_whole.or_else(|| Number::from_double(text.parse().ok()?))
        }
        _ => None,
    };
    Rcvar::new(number.map_or(Variable::Null, Variable::Number))
}

fn to_string(arguments: &Arguments<'_>) -> Evaluated {
    match arguments.value(0) {
        Variable::String(_) => Ok(arguments.shared(0)),
        Variable::Expression(_) => Err(arguments.wrong(0, "object|array|boolean|number|string|null")),
        value => Ok(Rcvar::new(Variable::String(text::json(
            value,
            arguments.compatibility(),
        )))),
    }
}

fn kind(arguments: &Arguments<'_>) -> Rcvar {
    Rcvar::new(Variable::String(arguments.value(0).kind().to_owned()))
}
