//! Objects: `keys`, `merge`, `values`. Members keep their order.

use super::{
    Arguments,
    Count::{AtLeast, Exactly},
    Function,
};
use crate::jmespath::{
    interpret::Evaluated,
    value::{Members, Rcvar, Variable},
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("keys", Exactly(1), keys),
    Function::new("merge", AtLeast(1), merge),
    Function::new("values", Exactly(1), values),
];

fn keys(arguments: &Arguments<'_>) -> Evaluated {
    let names = arguments.object(0)?.keys();
    let names = names.map(|name| Rcvar::new(Variable::String(name.to_string())));
    Ok(Rcvar::new(Variable::Array(names.collect())))
}

fn merge(arguments: &Arguments<'_>) -> Evaluated {
    let mut merged = Members::new();
    for index in 0..arguments.all().len() {
        let members = arguments.object(index)?.iter();
        merged.extend(members.map(|(name, member)| (name.clone(), member.clone())));
    }
    Ok(Rcvar::new(Variable::Object(merged)))
}

fn values(arguments: &Arguments<'_>) -> Evaluated {
    let values = arguments.object(0)?.values().cloned().collect();
    Ok(Rcvar::new(Variable::Array(values)))
}
