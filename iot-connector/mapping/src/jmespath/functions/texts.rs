//! Texts: `ends_with`, `join`, `starts_with`.

use super::{Arguments, Count::Exactly, Function};
use crate::jmespath::{
    interpret::Evaluated,
    value::{Rcvar, Variable},
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("ends_with", Exactly(2), ends_with),
    Function::new("join", Exactly(2), join),
    Function::new("starts_with", Exactly(2), starts_with),
];

fn ends_with(arguments: &Arguments<'_>) -> Evaluated {
    let ends = arguments.text(0)?.ends_with(arguments.text(1)?);
    Ok(Rcvar::new(Variable::Bool(ends)))
}

fn starts_with(arguments: &Arguments<'_>) -> Evaluated {
    let starts = arguments.text(0)?.starts_with(arguments.text(1)?);
    Ok(Rcvar::new(Variable::Bool(starts)))
}

fn join(arguments: &Arguments<'_>) -> Evaluated {
    let between = arguments.text(0)?;
    let joined = arguments.texts(1)?.join(between);
    Ok(Rcvar::new(Variable::String(joined)))
}
