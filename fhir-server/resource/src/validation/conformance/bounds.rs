//! The least and the greatest value that a profile allows (`minValue[x]`, `maxValue[x]`), as FHIRPath: its comparisons know
//! numbers, parts of dates and units, and what can't be compared isn't wrong.

use super::Checker;
use crate::document::{Kind, Node};
use crate::path::{Expression, Item};

const UCUM: &str = "http://unitsofmeasure.org";

/// One bound.
#[derive(Debug, Clone)]
pub struct Bound {
    /// What must hold for a value.
    pub expression: Expression,
    /// The bound as people read it: `at least 5`.
    pub text: String,
}

/// Which end of the range of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Least,
    Greatest,
}

/// Reads a bound; `of` is the type in the name of the member. `None` for a type that has no order.
pub fn read(end: End, of: &str, value: Node<'_>) -> Option<Bound> {
    let (operator, word, sign) = match end {
        End::Least => (">=", "at least", '-'),
        End::Greatest => ("<=", "at most", '+'),
    };
    let (expression, shown) = match (of, value.kind()) {
        (_, Kind::Number) => (format!("$this {operator} {}", value.raw()), value.raw().to_owned()),
        ("Date" | "DateTime" | "Instant", Kind::String) => {
            let moment = value.as_str()?;
            // a date alone is `@2020`, a time of it needs the `T` that it has
            (format!("$this {operator} @{moment}"), moment.into_owned())
        }
        ("Time", Kind::String) => {
            let time = value.as_str()?;
            (format!("$this {operator} @T{time}"), time.into_owned())
        }
        (_, Kind::Object) => {
            let number = value.get("value")?.number_text()?;
            let code = value.text_of("code").or_else(|| value.text_of("unit"));
            let code = code.as_deref().unwrap_or("1").replace(['\\', '\''], "");
            let shown = format!("{number} {code}");
            let is_ucum = value.text_of("system").is_none_or(|system| system == UCUM);
            let unit = if is_ucum {
                // a duration is a distance from now for values that are times, and a bound for values that are durations
                format!(
                    "iif($this is date or $this is dateTime or $this is instant, \
                     $this {operator} now() {sign} {number} '{code}', $this {operator} {number} '{code}')"
                )
            } else {
                format!("code = '{code}' implies value {operator} {number}")
            };
            (unit, shown)
        }
        _ => return None,
    };
    Some(Bound {
        expression: Expression::parse(&expression).ok()?,
        text: format!("{word} {shown}"),
    })
}

impl<'a> Checker<'_, 'a> {
    /// Checks a value by its bounds.
    pub fn bounds(&mut self, bounds: &[Bound], item: Item<'a>) {
        let world = self.world();
        for bound in bounds {
            if let Ok(Some(false)) = bound.expression.holds(&world, item) {
                self.error("value", format!("Value must be {}", bound.text));
            }
        }
    }
}
