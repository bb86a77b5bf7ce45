//! Lists: `contains`, `length`, `map`, `reverse`. Some are for texts too, whose lengths count UTF-16 code units as in .NET.

use super::{Arguments, Count::Exactly, Function};
use crate::jmespath::{
    interpret::Evaluated,
    number::Number,
    value::{Rcvar, Variable},
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("contains", Exactly(2), contains),
    Function::new("length", Exactly(1), length),
    Function::new("map", Exactly(2), map),
    Function::new("reverse", Exactly(1), reverse),
];

fn contains(arguments: &Arguments<'_>) -> Evaluated {
    let wanted = arguments.value(1);
    let found = match (arguments.value(0), wanted) {
        (Variable::Array(elements), _) => elements.iter().any(|element| **element == *wanted),
        (Variable::String(text), Variable::String(part)) => text.contains(part),
        (Variable::String(_), _) => false,
        _ => return Err(arguments.wrong(0, "string|array")),
    };
    Ok(Rcvar::new(Variable::Bool(found)))
}

fn length(arguments: &Arguments<'_>) -> Evaluated {
    let length = match arguments.value(0) {
        Variable::Array(elements) => elements.len(),
        Variable::Object(members) => members.len(),
        Variable::String(text) => text.encode_utf16().count(),
        _ => return Err(arguments.wrong(0, "array|object|string")),
    };
    let length = Number::from_whole(i128::try_from(length).unwrap_or(i128::MAX));
    Ok(Rcvar::new(Variable::Number(length)))
}

fn map(arguments: &Arguments<'_>) -> Evaluated {
    let (each, elements) = (arguments.expression(0)?, arguments.list(1)?);
    let mapped = elements.iter().map(each).collect::<Result<_, _>>()?;
    Ok(Rcvar::new(Variable::Array(mapped)))
}

fn reverse(arguments: &Arguments<'_>) -> Evaluated {
    Ok(Rcvar::new(match arguments.value(0) {
        Variable::Array(elements) => Variable::Array(elements.iter().rev().cloned().collect()),
        Variable::String(text) => Variable::String(text.chars().rev().collect()),
        _ => return Err(arguments.wrong(0, "array|string")),
    }))
}
