//! Arithmetic.

use rust_decimal::{Decimal, MathematicalOps as _, RoundingStrategy};

use super::compare::{decimal, quantity};
use super::moment::Span;
use super::number;
use super::quantity::Quantity;
use super::value::{Collection, Value};
use super::{Fault, single_system};
use crate::path::function::Function;
use crate::path::syntax::Operator;

/// Digits that a quotient keeps after the point.
const QUOTIENT_DIGITS: u32 = 16;

/// The whole number that a single value is.
pub fn whole(values: &[Value<'_>], what: &str) -> Result<Option<i64>, Fault> {
    match single_system(values, what)? {
        None => Ok(None),
        Some(Value::Integer(number)) => Ok(Some(number)),
        Some(other) => Err(Fault::meaning(format!(
            "`{what}` takes an integer, not a {}",
            other.type_of().1
        ))),
    }
}

/// `-`
pub fn negative<'a>(values: &[Value<'a>]) -> Result<Collection<'a>, Fault> {
    let result = match single_system(values, "-")? {
        None => return Ok(Vec::new()),
        Some(Value::Integer(number)) => number.checked_neg().map(Value::Integer),
        Some(Value::Decimal(number)) => Some(Value::Decimal(-number)),
        Some(Value::Quantity(quantity)) => Some(Value::Quantity(Quantity {
            value: -quantity.value,
            unit: quantity.unit,
        })),
        Some(other) => {
            return Err(Fault::meaning(format!(
                "`-` takes a number, not a {}",
                other.type_of().1
            )));
        }
    };
    Ok(result.into_iter().collect())
}

/// What an operator of arithmetic makes of two values; nothing where one is missing or the result is beyond 28 digits.
pub fn reckon<'a>(operator: Operator, left: &[Value<'a>], right: &[Value<'a>]) -> Result<Option<Value<'a>>, Fault> {
    let symbol = operator.symbol();
    let (left, right) = (single_system(left, symbol)?, single_system(right, symbol)?);
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(None);
    };
    let unfit = || {
        let (left, right) = (left.type_of().1, right.type_of().1);
        Fault::meaning(format!("`{symbol}` doesn't take a {left} and a {right}"))
    };
    match (&left, &right) {
        (Value::Integer(a), Value::Integer(b)) if operator != Operator::Divide => Ok(integers(operator, *a, *b)),
        (Value::Text(a), Value::Text(b)) if operator == Operator::Add => {
            Ok(Some(Value::Text(format!("{a}{b}").into())))
        }
        (Value::Moment(moment), Value::Quantity(by)) if matches!(operator, Operator::Add | Operator::Subtract) => {
            let span = by.span().ok_or_else(unfit)?;
            let span = match (operator, span) {
                (Operator::Subtract, Span::Months(months)) => Span::Months(-months),
                (Operator::Subtract, Span::Micros(micros)) => Span::Micros(-micros),
                (_, span) => span,
            };
            Ok(moment.plus(span).map(Value::Moment))
        }
        (Value::Quantity(_), _) | (_, Value::Quantity(_)) => {
            let (a, b) = (quantity(&left).ok_or_else(unfit)?, quantity(&right).ok_or_else(unfit)?);
            quantities(operator, &a, &b, unfit)
        }
        _ => {
            let (a, b) = (decimal(&left).ok_or_else(unfit)?, decimal(&right).ok_or_else(unfit)?);
            Ok(decimals(operator, a, b))
        }
    }
}

fn integers<'a>(operator: Operator, a: i64, b: i64) -> Option<Value<'a>> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Div => a.checked_div(b),
        Operator::Mod => a.checked_rem(b),
        _ => None,
    };
    result.map(Value::Integer)
}

fn decimals<'a>(operator: Operator, a: Decimal, b: Decimal) -> Option<Value<'a>> {
    let result = match operator {
        Operator::Add => a.checked_add(b)?,
        Operator::Subtract => a.checked_sub(b)?,
        Operator::Multiply => a.checked_mul(b)?,
        Operator::Divide => a.checked_div(b)?.round_dp(QUOTIENT_DIGITS),
        Operator::Mod => a.checked_rem(b)?,
        Operator::Div => return i64::try_from(a.checked_div(b)?.trunc()).ok().map(Value::Integer),
        _ => return None,
    };
    Some(Value::Decimal(result))
}

fn quantities<'a>(
    operator: Operator,
    a: &Quantity<'a>,
    b: &Quantity<'a>,
    unfit: impl FnOnce() -> Fault,
) -> Result<Option<Value<'a>>, Fault> {
    let result = match operator {
        Operator::Add => a.plus(b),
        Operator::Subtract => a.plus(&Quantity {
            value: -b.value,
            unit: b.unit.clone(),
        }),
        Operator::Multiply => a.times(b, false),
        Operator::Divide => a.times(b, true),
        _ => return Err(unfit()),
    };
    Ok(result.map(Value::Quantity))
}

/// The functions of numbers.
pub fn function<'a>(
    function: Function,
    input: &[Value<'a>],
    argument: Option<&[Value<'a>]>,
) -> Result<Collection<'a>, Fault> {
    let name = function.name();
    let Some(value) = single_system(input, name)? else {
        return Ok(Vec::new());
    };
    if let Some([]) = argument {
        return Ok(Vec::new());
    }
    let argument = argument
        .map(|argument| single_system(argument, name))
        .transpose()?
        .flatten();
    let result = match function {
        Function::LowBoundary | Function::HighBoundary => {
            let digits = match &argument {
                None => None,
                Some(Value::Integer(digits)) => Some(*digits),
                Some(_) => return Err(Fault::meaning(format!("`{name}()` takes an integer"))),
            };
            boundary(&value, digits, function == Function::HighBoundary)
        }
        Function::Precision => match &value {
            Value::Moment(moment) => Some(super::integer(moment.precision())),
            other => decimal(other).map(|number| Value::Integer(i64::from(number.scale()))),
        },
        Function::Comparable => {
            let pair = quantity(&value).zip(argument.as_ref().and_then(quantity));
            pair.map(|(left, right)| Value::Bool(left.is_comparable(&right)))
        }
        _ => numeric(function, &value, argument.as_ref())?,
    };
    Ok(result.into_iter().collect())
}

fn boundary<'a>(value: &Value<'a>, digits: Option<i64>, high: bool) -> Option<Value<'a>> {
    match value {
        Value::Moment(moment) => {
            let digits = digits.map(usize::try_from).transpose().ok()?;
            moment.boundary(digits, high).map(Value::Moment)
        }
        Value::Quantity(quantity) => Some(Value::Quantity(Quantity {
            value: number::boundary(quantity.value, digits.unwrap_or(8), high)?,
            unit: quantity.unit.clone(),
        })),
        other => number::boundary(decimal(other)?, digits.unwrap_or(8), high).map(Value::Decimal),
    }
}

fn numeric<'a>(
    function: Function,
    value: &Value<'a>,
    argument: Option<&Value<'a>>,
) -> Result<Option<Value<'a>>, Fault> {
    let name = function.name();
    if let (Function::Abs, Value::Quantity(quantity)) = (function, value) {
        return Ok(Some(Value::Quantity(Quantity {
            value: quantity.value.abs(),
            unit: quantity.unit.clone(),
        })));
    }
    let unfit = |value: &Value<'_>| Fault::meaning(format!("`{name}()` takes a number, not a {}", value.type_of().1));
    let number = decimal(value).ok_or_else(|| unfit(value))?;
    let argument = match argument {
        Some(argument) => Some(decimal(argument).ok_or_else(|| unfit(argument))?),
        None => None,
    };
    let is_integer = matches!(value, Value::Integer(_));
    let to_integer = |number: Decimal| i64::try_from(number).ok().map(Value::Integer);
    Ok(match function {
        Function::Abs if is_integer => to_integer(number.abs()),
        Function::Abs => Some(Value::Decimal(number.abs())),
        Function::Ceiling => to_integer(number.ceil()),
        Function::Floor => to_integer(number.floor()),
        Function::Truncate => to_integer(number.trunc()),
        Function::Round => {
            let digits = argument.unwrap_or_default();
            let digits = u32::try_from(i64::try_from(digits.trunc()).unwrap_or(-1));
            let digits = digits.map_err(|_| Fault::meaning("`round()` takes digits from 0 on"))?;
            let rounded = number.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
            if is_integer {
                to_integer(rounded)
            } else {
                Some(Value::Decimal(rounded))
            }
        }
        Function::Exp => number.checked_exp().map(Value::Decimal),
        Function::Ln => number.checked_ln().map(Value::Decimal),
        Function::Log => {
            let base = argument
                .and_then(|base| base.checked_ln())
                .filter(|base| !base.is_zero());
            let log = number
                .checked_ln()
                .zip(base)
                .and_then(|(number, base)| number.checked_div(base));
            log.map(|log| Value::Decimal(log.round_dp(QUOTIENT_DIGITS)))
        }
        Function::Sqrt => number.sqrt().map(Value::Decimal),
        Function::Power => {
            let exponent = argument.unwrap_or_default();
            if number.is_sign_negative() && !exponent.fract().is_zero() {
                return Ok(None);
            }
            let power = number.checked_powd(exponent);
            if is_integer && exponent.fract().is_zero() && !exponent.is_sign_negative() {
                power.and_then(to_integer)
            } else {
                power.map(Value::Decimal)
            }
        }
        _ => None,
    })
}
