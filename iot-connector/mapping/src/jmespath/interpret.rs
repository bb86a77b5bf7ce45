//! Evaluation of an expression, as <https://jmespath.org/specification.html> has it.

use ::jmespath::ast::Comparator;

use super::{
    EvaluationError,
    expression::Expression,
    functions::Arguments,
    value::{Members, Rcvar, Variable},
};
use crate::template::Compatibility;

/// The result, or why a function of the expression has none.
pub type Evaluated = Result<Rcvar, EvaluationError>;

/// Evaluates an expression on data.
pub fn interpret(data: &Rcvar, expression: &Expression, compatibility: Compatibility) -> Evaluated {
    let of = |data: &Rcvar, expression: &Expression| interpret(data, expression, compatibility);
    match expression {
        Expression::Path(steps) => {
            let found = steps.iter().try_fold(data, |value, step| value.step(step));
            Ok(found.cloned().unwrap_or_else(null))
        }
        Expression::Slice { start, stop, step } => slice(data, *start, *stop, *step),
        Expression::Literal(value) => Ok(value.clone()),
        Expression::Chain(first, then) => of(&of(data, first)?, then),
        Expression::Projection(list, each) => project(&*of(data, list)?, |element| of(element, each)),
        Expression::Flatten(list) => Ok(flatten(&*of(data, list)?)),
        Expression::Values(object) => Ok(match &*of(data, object)? {
            Variable::Object(members) => list(members.values().cloned().collect()),
            _ => null(),
        }),
        Expression::Condition(condition, then) => {
            if of(data, condition)?.is_truthy() {
                of(data, then)
            } else {
                Ok(null())
            }
        }
        Expression::Or(left, right) => {
            let left = of(data, left)?;
            if left.is_truthy() { Ok(left) } else { of(data, right) }
        }
        Expression::And(left, right) => {
            let left = of(data, left)?;
            if left.is_truthy() { of(data, right) } else { Ok(left) }
        }
        Expression::Not(negated) => Ok(truth(!of(data, negated)?.is_truthy())),
        Expression::Comparison(comparator, left, right) => {
            Ok(compare(comparator, &*of(data, left)?, &*of(data, right)?).map_or_else(null, truth))
        }
        Expression::List(_) | Expression::Object(_) if matches!(**data, Variable::Null) => Ok(null()),
        Expression::List(elements) => evaluate_all(elements, |element| of(data, element)).map(list),
        Expression::Object(members) => {
            let mut object = Members::with_capacity(members.len());
            for (name, member) in members {
                object.insert(name.clone(), of(data, member)?);
            }
            Ok(Rcvar::new(Variable::Object(object)))
        }
        Expression::Call(function, arguments) => {
            let values = evaluate_all(arguments, |argument| of(data, argument))?;
            function.call(&Arguments::new(function.name, &values, compatibility))
        }
        Expression::Reference(expression) => Ok(Rcvar::new(Variable::Expression(expression.clone()))),
    }
}

fn null() -> Rcvar {
    Rcvar::new(Variable::Null)
}

fn truth(truth: bool) -> Rcvar {
    Rcvar::new(Variable::Bool(truth))
}

fn list(elements: Vec<Rcvar>) -> Rcvar {
    Rcvar::new(Variable::Array(elements))
}

fn evaluate_all(all: &[Expression], of: impl Fn(&Expression) -> Evaluated) -> Result<Vec<Rcvar>, EvaluationError> {
    let mut values = Vec::with_capacity(all.len());
    for expression in all {
        values.push(of(expression)?);
    }
    Ok(values)
}

fn project(data: &Variable, each: impl Fn(&Rcvar) -> Evaluated) -> Evaluated {
    let Variable::Array(elements) = data else {
        return Ok(null());
    };
    let mut results = Vec::new();
    for element in elements {
        let result = each(element)?;
        if !matches!(*result, Variable::Null) {
            results.push(result);
        }
    }
    Ok(list(results))
}

fn flatten(data: &Variable) -> Rcvar {
    let Variable::Array(elements) = data else {
        return null();
    };
    let mut flat = Vec::with_capacity(elements.len());
    for element in elements {
        match &**element {
            Variable::Array(inner) => flat.extend(inner.iter().cloned()),
            _ => flat.push(element.clone()),
        }
    }
    list(flat)
}

/// Python's slices.
fn slice(data: &Variable, start: Option<i32>, stop: Option<i32>, step: i32) -> Evaluated {
    if step == 0 {
        return Err(EvaluationError::Function("Invalid slice".to_owned()));
    }
    let Variable::Array(elements) = data else {
        return Ok(null());
    };
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let (first, last) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let bound = |bound: Option<i32>, missing: i64| {
        bound.map_or(missing, |bound| {
            let bound = i64::from(bound);
            let from_the_start = if bound < 0 { bound + length } else { bound };
            from_the_start.clamp(first, last)
        })
    };
    let (start, stop) = if step < 0 {
        (bound(start, last), bound(stop, first))
    } else {
        (bound(start, first), bound(stop, last))
    };
    let indexes = std::iter::successors(Some(start), |index| Some(index + i64::from(step)));
    let indexes = indexes.take_while(|index| if step < 0 { *index > stop } else { *index < stop });
    let taken = indexes.filter_map(|index| elements.get(usize::try_from(index).ok()?).cloned());
    Ok(list(taken.collect()))
}

/// Only numbers have an order here; `None` for all else.
fn compare(comparator: &Comparator, left: &Variable, right: &Variable) -> Option<bool> {
    let order = || match (left, right) {
        (Variable::Number(left), Variable::Number(right)) => Some(left.order(right)),
        _ => None,
    };
    match comparator {
        Comparator::Equal => Some(left == right),
        Comparator::NotEqual => Some(left != right),
        Comparator::LessThan => order().map(std::cmp::Ordering::is_lt),
        Comparator::LessThanEqual => order().map(std::cmp::Ordering::is_le),
        Comparator::GreaterThan => order().map(std::cmp::Ordering::is_gt),
        Comparator::GreaterThanEqual => order().map(std::cmp::Ordering::is_ge),
    }
}
