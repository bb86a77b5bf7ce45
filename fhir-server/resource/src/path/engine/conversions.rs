//! `toInteger()`, `convertsToInteger()` and their like.

use rust_decimal::Decimal;

use super::compare::decimal;
use super::moment::{Moment, Sort};
use super::number;
use super::quantity::Quantity;
use super::value::{Collection, Value};
use super::{Evaluation, Fault, single_system};
use crate::path::function::Function;

impl<'a> Evaluation<'_, 'a> {
    pub fn convert(&self, input: &[Value<'a>], function: Function) -> Result<Collection<'a>, Fault> {
        let Some(value) = single_system(input, function.name())? else {
            return Ok(Vec::new());
        };
        self.spend(1)?;
        let (result, asks) = match function {
            Function::ToBoolean => (boolean(&value), false),
            Function::ToInteger => (whole(&value), false),
            Function::ToDecimal => (real(&value), false),
            Function::ToText => (text(&value), false),
            Function::ToDate => (date(&value), false),
            Function::ToDateTime => (date_time(&value), false),
            Function::ToTime => (time(&value), false),
            Function::ToQuantity => (amount(&value), false),
            Function::ConvertsToBoolean => (boolean(&value), true),
            Function::ConvertsToInteger => (whole(&value), true),
            Function::ConvertsToDecimal => (real(&value), true),
            Function::ConvertsToText => (text(&value), true),
            Function::ConvertsToDate => (date(&value), true),
            Function::ConvertsToDateTime => (date_time(&value), true),
            Function::ConvertsToTime => (time(&value), true),
            _ => (amount(&value), true),
        };
        if asks {
            return Ok(vec![Value::Bool(result.is_some())]);
        }
        Ok(result.into_iter().collect())
    }
}

fn boolean<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let truth = match value {
        Value::Bool(value) => *value,
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => true,
            "false" | "f" | "no" | "n" | "0" | "0.0" => false,
            _ => return None,
        },
        other => {
            let number = decimal(other)?;
            if number != Decimal::ONE && number != Decimal::ZERO {
                return None;
            }
            number == Decimal::ONE
        }
    };
    Some(Value::Bool(truth))
}

fn whole<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Integer(number) => Some(Value::Integer(*number)),
        Value::Bool(value) => Some(Value::Integer(i64::from(*value))),
        Value::Text(text) => text.parse().ok().map(Value::Integer),
        _ => None,
    }
}

fn real<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Bool(value) => Some(Value::Decimal(Decimal::from(i64::from(*value)))),
        Value::Text(text) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let framed = digits.starts_with(|first: char| first.is_ascii_digit()) && !digits.ends_with('.');
            (plain && framed)
                .then(|| number::read(text.trim_start_matches('+')))?
                .map(Value::Decimal)
        }
        other => decimal(other).map(Value::Decimal),
    }
}

fn text<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Text(text) => Some(Value::Text(text.clone())),
        Value::Element(_) | Value::Type { .. } => None,
        other => Some(Value::Text(other.to_string().into())),
    }
}

fn date<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let moment = match value {
        Value::Moment(moment) if moment.sort != Sort::Time => *moment,
        Value::Text(text) => Moment::read(text)?,
        _ => return None,
    };
    Some(Value::Moment(moment.date()))
}

fn date_time<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let moment = match value {
        Value::Moment(moment) if moment.sort != Sort::Time => *moment,
        Value::Text(text) => Moment::read(text)?,
        _ => return None,
    };
    Some(Value::Moment(moment.date_time()))
}

fn time<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Moment(moment) if moment.sort == Sort::Time => Some(Value::Moment(*moment)),
        Value::Text(text) => Moment::read_time(text.strip_prefix('T').unwrap_or(text)).map(Value::Moment),
        _ => None,
    }
}

fn amount<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let quantity = match value {
        Value::Quantity(quantity) => quantity.clone(),
        Value::Bool(value) => Quantity::ucum(Decimal::from(i64::from(*value)), "1"),
        Value::Text(text) => owned(&Quantity::read(text)?),
        other => Quantity::ucum(decimal(other)?, "1"),
    };
    Some(Value::Quantity(quantity))
}

fn owned<'a>(quantity: &Quantity<'_>) -> Quantity<'a> {
    use super::quantity::Unit;
    Quantity {
        value: quantity.value,
        unit: match &quantity.unit {
            Unit::Calendar(unit) => Unit::Calendar(*unit),
            Unit::Ucum(code) => Unit::Ucum(code.clone().into_owned().into()),
        },
    }
}
