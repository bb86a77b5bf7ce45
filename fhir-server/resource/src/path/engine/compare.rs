//! Equality, equivalence and order.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::number;
use super::quantity::Quantity;
use super::value::Value;
use super::{Evaluation, Fault, single_system};
use crate::document::{Kind, Node};
use crate::path::syntax::Operator;

/// A number as a decimal.
pub fn decimal(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(number) => Some(Decimal::from(*number)),
        Value::Decimal(number) => Some(*number),
        _ => None,
    }
}

/// A number or a quantity as a quantity.
pub fn quantity<'a>(value: &Value<'a>) -> Option<Quantity<'a>> {
    match value {
        Value::Quantity(quantity) => Some(quantity.clone()),
        other => decimal(other).map(|number| Quantity::ucum(number, "1")),
    }
}

/// Whether two values are equal; `None` where their precision doesn't tell.
fn same(left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if let (Value::Element(left), Value::Element(right)) = (left, right)
        && let (Some(left), Some(right)) = (left.value, right.value)
        && left.is_object()
        && right.is_object()
    {
        return Some(same_nodes(left, right));
    }
    let (Some(left), Some(right)) = (left.system(), right.system()) else {
        return Some(false);
    };
    if let (Some(left), Some(right)) = (decimal(&left), decimal(&right)) {
        return Some(left == right);
    }
    match (&left, &right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left == right),
        (Value::Text(left), Value::Text(right)) => Some(left == right),
        (Value::Moment(left), Value::Moment(right)) => {
            let times = |moment: &super::moment::Moment| moment.sort == super::moment::Sort::Time;
            if times(left) != times(right) {
                return Some(false);
            }
            left.compare(*right).map(|order| order == Ordering::Equal)
        }
        // A text that is a date is compared as one.
        (Value::Moment(moment), Value::Text(text)) | (Value::Text(text), Value::Moment(moment)) => {
            Some(moment.to_string() == **text)
        }
        (Value::Quantity(_), _) | (_, Value::Quantity(_)) => {
            let (left, right) = (quantity(&left)?, quantity(&right)?);
            left.compare(&right).map(|order| order == Ordering::Equal)
        }
        (
            Value::Type { namespace, name },
            Value::Type {
                namespace: other_namespace,
                name: other,
            },
        ) => Some(namespace == other_namespace && name == other),
        _ => Some(false),
    }
}

/// Whether two parts of resources say the same, numbers by value.
fn same_nodes(left: Node<'_>, right: Node<'_>) -> bool {
    match (left.kind(), right.kind()) {
        (Kind::Object, Kind::Object) => {
            left.entries().count() == right.entries().count()
                && left
                    .entries()
                    .all(|(name, value)| right.get(&name).is_some_and(|other| same_nodes(value, other)))
        }
        (Kind::Array, Kind::Array) => {
            left.items().count() == right.items().count()
                && left
                    .items()
                    .zip(right.items())
                    .all(|(left, right)| same_nodes(left, right))
        }
        (Kind::Number, Kind::Number) => {
            left.raw() == right.raw()
                || number::read(left.raw())
                    .zip(number::read(right.raw()))
                    .is_some_and(|(left, right)| left == right)
        }
        _ => left.same(right),
    }
}

/// Whether two values are equivalent.
fn alike(left: &Value<'_>, right: &Value<'_>) -> bool {
    let (Some(left), Some(right)) = (left.system(), right.system()) else {
        return same(left, right).unwrap_or(false);
    };
    if let (Some(left), Some(right)) = (decimal(&left), decimal(&right)) {
        return number::equivalent(left, right);
    }
    match (&left, &right) {
        (Value::Text(left), Value::Text(right)) => normal(left) == normal(right),
        (Value::Moment(left), Value::Moment(right)) => left.is_equivalent(*right),
        (Value::Quantity(_), _) | (_, Value::Quantity(_)) => {
            let pair = quantity(&left).zip(quantity(&right));
            pair.is_some_and(|(left, right)| left.is_equivalent(&right))
        }
        _ => same(&left, &right).unwrap_or(false),
    }
}

/// A text without case and with single spaces.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What `<`, `<=`, `>` and `>=` say.
pub fn ordered(operator: Operator, left: &[Value<'_>], right: &[Value<'_>]) -> Result<Option<bool>, Fault> {
    let symbol = operator.symbol();
    let (left, right) = (single_system(left, symbol)?, single_system(right, symbol)?);
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(None);
    };
    let order = order(&left, &right).map_err(|Unordered| {
        let (left, right) = (left.type_of().1, right.type_of().1);
        Fault::meaning(format!("`{symbol}` can't compare a {left} with a {right}"))
    })?;
    Ok(order.map(|order| match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// Two values that have no order.
#[derive(Debug)]
pub struct Unordered;

/// How two values are ordered; `None` if it isn't known.
pub fn order(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, Unordered> {
    if let (Some(left), Some(right)) = (decimal(left), decimal(right)) {
        return Ok(Some(left.cmp(&right)));
    }
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(Some(left.cmp(right))),
        (Value::Moment(left), Value::Moment(right)) => Ok(left.compare(*right)),
        (Value::Quantity(_), _) | (_, Value::Quantity(_)) => {
            let (left, right) = (quantity(left).ok_or(Unordered)?, quantity(right).ok_or(Unordered)?);
            Ok(left.compare(&right))
        }
        _ => Err(Unordered),
    }
}

impl<'a> Evaluation<'_, 'a> {
    /// `=`
    pub fn equal(&self, left: &[Value<'a>], right: &[Value<'a>]) -> Result<Option<bool>, Fault> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut all = Some(true);
        for (left, right) in left.iter().zip(right) {
            self.spend(cost(left))?;
            match same(left, right) {
                Some(false) => return Ok(Some(false)),
                None => all = None,
                Some(true) => {}
            }
        }
        Ok(all)
    }

    /// Whether two values are the same, for sets.
    pub fn is_same(&self, left: &Value<'a>, right: &Value<'a>) -> Result<bool, Fault> {
        self.spend(cost(left))?;
        Ok(same(left, right) == Some(true))
    }

    /// `~`
    pub fn equivalent(&self, left: &[Value<'a>], right: &[Value<'a>]) -> Result<bool, Fault> {
        if left.len() != right.len() {
            return Ok(false);
        }
        let mut others: Vec<&Value<'a>> = right.iter().collect();
        for value in left {
            self.spend(cost(value) + others.len())?;
            let Some(at) = others.iter().position(|other| alike(value, other)) else {
                return Ok(false);
            };
            others.swap_remove(at);
        }
        Ok(true)
    }

    /// `in`
    pub fn within(&self, item: &[Value<'a>], collection: &[Value<'a>]) -> Result<Option<bool>, Fault> {
        let Some(item) = super::single(item, "in")? else {
            return Ok(None);
        };
        for value in collection {
            if self.is_same(item, value)? {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }
}

/// What it costs to compare a value: by the text of it.
fn cost(value: &Value<'_>) -> usize {
    match value {
        Value::Element(item) => 1 + item.value.map_or(0, |node| node.span().len() / 64),
        _ => 1,
    }
}
