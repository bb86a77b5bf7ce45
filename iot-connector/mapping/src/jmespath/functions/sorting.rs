//! Order: `max`, `max_by`, `min`, `min_by`, `sort`, `sort_by`, of numbers or of texts.

use std::{cmp::Ordering, ops::Deref};

use super::{Arguments, Count::Exactly, Function};
use crate::jmespath::{
    EvaluationError,
    value::{Rcvar, Variable},
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("max", Exactly(1), |arguments| {
        Ok(first(&plain(arguments)?, Ordering::Greater))
    }),
    Function::new("max_by", Exactly(2), |arguments| {
        Ok(first(&by(arguments)?, Ordering::Greater))
    }),
    Function::new("min", Exactly(1), |arguments| {
        Ok(first(&plain(arguments)?, Ordering::Less))
    }),
    Function::new("min_by", Exactly(2), |arguments| {
        Ok(first(&by(arguments)?, Ordering::Less))
    }),
    Function::new("sort", Exactly(1), |arguments| Ok(sorted(plain(arguments)?))),
    Function::new("sort_by", Exactly(2), |arguments| Ok(sorted(by(arguments)?))),
];

/// An element, and the number or text that it is ordered by; those of one list are of one type.
struct Entry<'a, K> {
    key: K,
    value: &'a Rcvar,
}

fn plain<'a>(arguments: &Arguments<'a>) -> Result<Vec<Entry<'a, &'a Variable>>, EvaluationError> {
    let itself = |value: &'a Rcvar| Entry { key: &**value, value };
    Ok(arguments.ordered(0)?.iter().map(itself).collect())
}

fn by<'a>(arguments: &Arguments<'a>) -> Result<Vec<Entry<'a, Rcvar>>, EvaluationError> {
    let (elements, key) = (arguments.list(0)?, arguments.expression(1)?);
    let mut entries: Vec<Entry<'a, Rcvar>> = Vec::with_capacity(elements.len());
    for (invocation, value) in elements.iter().enumerate() {
        let key = key(value)?;
        let (expected, right) = match entries.first() {
            Some(first) => (first.key.kind(), first.key.kind() == key.kind()),
            None => (
                "number|expression->string",
                matches!(*key, Variable::Number(_) | Variable::String(_)),
            ),
        };
        if !right {
            let (actual, invocation) = (key.kind(), invocation.max(1));
            return Err(EvaluationError::Type(format!(
                "Argument 1 must return expression->{expected} but invocation {invocation} returned {actual}"
            )));
        }
        entries.push(Entry { key, value });
    }
    Ok(entries)
}

/// One order for a whole list: by all digits where all are whole numbers, else as doubles.
fn order<'a, K: Deref<Target = Variable>>(
    entries: &[Entry<'a, K>],
) -> impl Fn(&Entry<'a, K>, &Entry<'a, K>) -> Ordering + use<'a, K> {
    let exact = entries.iter().all(|entry| match &*entry.key {
        Variable::Number(number) => number.whole().is_some(),
        _ => true,
    });
    move |left, right| match (&*left.key, &*right.key) {
        (Variable::Number(left), Variable::Number(right)) if !exact => {
            left.double().partial_cmp(&right.double()).unwrap_or(Ordering::Equal)
        }
        (left, right) => left.order(right).unwrap_or(Ordering::Equal),
    }
}

/// The first of those before which, or behind which, no other is; `null` of an empty list.
fn first<K: Deref<Target = Variable>>(entries: &[Entry<'_, K>], wanted: Ordering) -> Rcvar {
    let order = order(entries);
    let better = |best, entry| if order(entry, best) == wanted { entry } else { best };
    let best = entries.iter().reduce(better);
    best.map_or_else(|| Rcvar::new(Variable::Null), |best| best.value.clone())
}

fn sorted<K: Deref<Target = Variable>>(mut entries: Vec<Entry<'_, K>>) -> Rcvar {
    let order = order(&entries);
    entries.sort_by(order);
    Rcvar::new(Variable::Array(
        entries.into_iter().map(|entry| entry.value.clone()).collect(),
    ))
}
