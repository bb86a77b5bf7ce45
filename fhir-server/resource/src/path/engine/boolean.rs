//! Logic with three values: true, false and unknown (the empty collection).

use super::value::Value;
use super::{Fault, single};
use crate::path::syntax::Operator;

/// A collection as a truth value: a boolean is itself, any other single value is true, none is unknown.
pub fn truth(values: &[Value<'_>]) -> Result<Option<bool>, Fault> {
    let Some(value) = single(values, "a condition")? else {
        return Ok(None);
    };
    Ok(Some(match value.system() {
        Some(Value::Bool(value)) => value,
        _ => true,
    }))
}

/// What the left side alone decides.
pub fn decided(operator: Operator, left: Option<bool>) -> Option<bool> {
    match (operator, left) {
        (Operator::And, Some(false)) => Some(false),
        (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => Some(true),
        _ => None,
    }
}

/// What both sides come to.
pub fn logic(operator: Operator, left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match operator {
        Operator::And => match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Operator::Or => match (left, right) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Operator::Xor => left.zip(right).map(|(left, right)| left != right),
        Operator::Implies => match (left, right) {
            (Some(false), _) | (_, Some(true)) => Some(true),
            (Some(true), right) => right,
            (None, _) => None,
        },
        _ => None,
    }
}
