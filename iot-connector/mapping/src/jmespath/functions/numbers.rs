//! Numbers: `abs`, `avg`, `ceil`, `floor`, `sum`. What is whole stays whole.

use super::{Arguments, Count::Exactly, Function};
use crate::jmespath::{
    arithmetic::TOO_LARGE,
    interpret::Evaluated,
    number::Number,
    value::{Rcvar, Variable},
};

pub const FUNCTIONS: &[Function] = &[
    Function::new("abs", Exactly(1), abs),
    Function::new("avg", Exactly(1), avg),
    Function::new("ceil", Exactly(1), |arguments| rounded(arguments, f64::ceil)),
    Function::new("floor", Exactly(1), |arguments| rounded(arguments, f64::floor)),
    Function::new("sum", Exactly(1), sum),
];

fn abs(arguments: &Arguments<'_>) -> Evaluated {
    let number = arguments.number(0)?;
    let absolute = number.whole().and_then(i128::checked_abs).map(Number::from_whole);
    given(
        arguments,
        absolute.or_else(|| Number::from_double(number.double().abs())),
    )
}

/// `null` for an empty list.
fn avg(arguments: &Arguments<'_>) -> Evaluated {
    let numbers = arguments.numbers(0)?;
    if numbers.is_empty() {
        return Ok(Rcvar::new(Variable::Null));
    }
    let sum: f64 = numbers.iter().map(|number| number.double()).sum();
    #[expect(clippy::cast_precision_loss, reason = "no list is that long")]
    let average = sum / numbers.len() as f64;
    given(arguments, Number::from_double(average))
}

fn rounded(arguments: &Arguments<'_>, round: fn(f64) -> f64) -> Evaluated {
    let number = arguments.number(0)?;
    if number.is_whole() {
        Ok(arguments.shared(0))
    } else {
        given(arguments, Number::from_rounded(round(number.double())))
    }
}

fn sum(arguments: &Arguments<'_>) -> Evaluated {
    let numbers = arguments.numbers(0)?;
    let whole = numbers
        .iter()
        .try_fold(0_i128, |sum, number| sum.checked_add(number.whole()?));
    let double = || Number::from_double(numbers.iter().fold(0.0, |sum, number| sum + number.double()));
    given(arguments, whole.map(Number::from_whole).or_else(double))
}

fn given(arguments: &Arguments<'_>, number: Option<Number>) -> Evaluated {
    let number = number.ok_or_else(|| arguments.failed(TOO_LARGE))?;
    Ok(Rcvar::new(Variable::Number(number)))
}
