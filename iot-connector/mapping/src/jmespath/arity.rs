//! Functions that exist, and how many arguments they take: asked when an expression is compiled, as iomt-fhir does.

use std::ops::RangeInclusive;

use ::jmespath::{Runtime, ast::Ast};

use super::{functions, literals::children};

/// Any number from `least`.
const fn at_least(least: usize) -> RangeInclusive<usize> {
    least..=usize::MAX
}

/// The arguments of a function of the specification, or of one of our own.
fn arguments(name: &str) -> RangeInclusive<usize> {
    match name {
        "abs" | "avg" | "ceil" | "floor" | "keys" | "length" | "max" | "min" | "reverse" | "sort" | "sum"
        | "to_array" | "to_number" | "to_string" | "type" | "values" => 1..=1,
        "contains" | "ends_with" | "join" | "map" | "max_by" | "min_by" | "sort_by" | "starts_with" => 2..=2,
        "merge" | "not_null" => at_least(1),
        own => functions::arguments(own).map_or(at_least(0), |count| count..=count),
    }
}

/// The first call that can't be right: the position of its parenthesis and what is wrong.
pub fn check(ast: &mut Ast, runtime: &Runtime) -> Result<(), (usize, String)> {
    if let Ast::Function { name, args, offset } = ast {
        if runtime.get_function(name).is_none() {
            return Err((*offset, format!("there is no function `{name}`")));
        }
        let wanted = arguments(name);
        if !wanted.contains(&args.len()) {
            let least = wanted.start();
            let more = if wanted.end() > least { " or more" } else { "" };
            return Err((
                *offset,
                format!("`{name}` takes {least}{more} arguments, not {}", args.len()),
            ));
        }
    }
    children(ast).into_iter().try_for_each(|child| check(child, runtime))
}
