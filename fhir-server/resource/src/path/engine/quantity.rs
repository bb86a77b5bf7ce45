//! Quantities: a number and a unit, of UCUM or of the calendar.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use octofhir_ucum::get_canonical_units;
use rust_decimal::Decimal;

use super::moment::Span;

/// A unit of the calendar, which UCUM's definite durations equal up to the week only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Calendar {
    const ALL: [(Calendar, &'static str, &'static str); 8] = [
        (Calendar::Year, "year", "a"),
        (Calendar::Month, "month", "mo"),
        (Calendar::Week, "week", "wk"),
        (Calendar::Day, "day", "d"),
        (Calendar::Hour, "hour", "h"),
        (Calendar::Minute, "minute", "min"),
        (Calendar::Second, "second", "s"),
        (Calendar::Millisecond, "millisecond", "ms"),
    ];

    /// `day`, `days`
    pub fn named(word: &str) -> Option<Self> {
        let found = Self::ALL
            .iter()
            .find(|(_, name, _)| word.strip_suffix('s').unwrap_or(word) == *name || word == *name)?;
        Some(found.0)
    }

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(unit, ..)| *unit == self)
            .map_or("", |found| found.1)
    }

    fn ucum(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(unit, ..)| *unit == self)
            .map_or("", |found| found.2)
    }

    fn of_ucum(code: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, _, ucum)| *ucum == code)?;
        Some(found.0)
    }
}

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit<'a> {
    Calendar(Calendar),
    Ucum(Cow<'a, str>),
}

/// A number with its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity<'a> {
    pub value: Decimal,
    pub unit: Unit<'a>,
}

/// A value in base units, and these.
struct Canonical {
    value: Decimal,
    unit: String,
}

impl<'a> Quantity<'a> {
    /// A number of a UCUM unit.
    pub fn ucum(value: Decimal, unit: impl Into<Cow<'a, str>>) -> Self {
        Quantity {
            value,
            unit: Unit::Ucum(unit.into()),
        }
    }

    /// Reads `1.5`, `1 day`, `1 'wk'`.
    pub fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let value: Decimal = text[..end].trim_start_matches('+').parse().ok()?;
        let unit = text[end..].trim();
        if unit.is_empty() {
            return Some(Self::ucum(value, "1"));
        }
        if let Some(code) = unit.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Some(Self::ucum(value, code));
        }
        let unit = Unit::Calendar(Calendar::named(unit)?);
        Some(Quantity { value, unit })
    }

    fn code(&self) -> &str {
        match &self.unit {
            Unit::Calendar(unit) => unit.ucum(),
            Unit::Ucum(code) => code,
        }
    }

    fn canonical(&self) -> Option<Canonical> {
        let canonical = get_canonical_units(self.code()).ok()?;
        let number = |text: String| {
            text.parse::<Decimal>()
                .or_else(|_| Decimal::from_scientific(&text))
                .ok()
        };
        let factor = number(canonical.factor.to_string())?;
        let offset = number(canonical.offset.to_string())?;
        Some(Canonical {
            value: self.value.checked_mul(factor)?.checked_add(offset)?,
            unit: canonical.unit,
        })
    }

    /// Years and months of the calendar are no definite time.
    fn is_indefinite(&self) -> bool {
        matches!(self.unit, Unit::Calendar(Calendar::Year | Calendar::Month))
    }

    /// Whether both can be compared.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.pair(other).is_some()
    }

    /// Both values in one unit.
    fn pair(&self, other: &Self) -> Option<(Decimal, Decimal)> {
        if self.unit == other.unit {
            return Some((self.value, other.value));
        }
        if let (Unit::Calendar(left), Unit::Calendar(right)) = (&self.unit, &other.unit) {
            let months = |unit: &Calendar| match unit {
                Calendar::Year => Some(Decimal::from(12)),
                Calendar::Month => Some(Decimal::ONE),
                _ => None,
            };
            if let Some((left, right)) = months(left).zip(months(right)) {
                return Some((self.value.checked_mul(left)?, other.value.checked_mul(right)?));
            }
        }
        if self.is_indefinite() || other.is_indefinite() {
            return None;
        }
        let (left, right) = (self.canonical()?, other.canonical()?);
        (left.unit == right.unit).then_some((left.value, right.value))
    }

    /// How both are ordered; `None` if their units can't be compared.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let (left, right) = self.pair(other)?;
        Some(left.cmp(&right))
    }

    /// Whether both are the same to the precision of the less precise one.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        if self.unit == other.unit {
            return super::number::equivalent(self.value, other.value);
        }
        // In the unit of the less precise one.
        let Some((left, right)) = self.pair(other) else {
            return false;
        };
        let (coarse, fine, fine_in_base) = if self.significant() <= other.significant() {
            (self.value, right, left)
        } else {
            (other.value, left, right)
        };
        let Some(factor) = fine_in_base.checked_div(coarse).filter(|factor| !factor.is_zero()) else {
            return left == right;
        };
        fine.checked_div(factor)
            .is_some_and(|fine| fine.round_dp(coarse.scale()) == coarse)
    }

    fn significant(&self) -> usize {
        let digits = self.value.mantissa().unsigned_abs().to_string();
        if self.value.scale() == 0 {
            digits.trim_end_matches('0').len().max(1)
        } else {
            digits.len()
        }
    }

    /// Both multiplied, or one divided by the other.
    pub fn times(&self, other: &Self, divide: bool) -> Option<Self> {
        let value = if divide {
            self.value.checked_div(other.value)?
        } else {
            self.value.checked_mul(other.value)?
        };
        let (left, right) = (self.code(), other.code());
        let unit = match (left, right, divide) {
            (left, "1", _) => left.to_owned(),
            ("1", right, false) => right.to_owned(),
            (left, right, false) => format!("({left}).({right})"),
            (left, right, true) => format!("({left})/({right})"),
        };
        Some(Self::ucum(value, unit))
    }

    /// Both added, in the unit of the first.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let value = if self.unit == other.unit {
            self.value.checked_add(other.value)?
        } else {
            let (left, right) = self.pair(other)?;
            let factor = if self.value.is_zero() {
                None
            } else {
                left.checked_div(self.value)
            };
            let one = Quantity {
                value: Decimal::ONE,
                unit: self.unit.clone(),
            };
            let factor = factor.or_else(|| one.canonical().map(|one| one.value))?;
            self.value.checked_add(right.checked_div(factor)?)?
        };
        Some(Quantity {
            value,
            unit: self.unit.clone(),
        })
    }

    /// What it adds to a moment; `None` if it is no time, or one of UCUM's that isn't the calendar's.
    pub fn span(&self) -> Option<Span> {
        let unit = match &self.unit {
            Unit::Calendar(unit) => *unit,
            Unit::Ucum(code) => Calendar::named(code)
                .or_else(|| Calendar::of_ucum(code).filter(|unit| !matches!(unit, Calendar::Year | Calendar::Month)))?,
        };
        // Of all units but the second, whole numbers only are added.
        let whole = i64::try_from(self.value.trunc()).ok()?;
        Some(match unit {
            Calendar::Year => Span::Months(whole.checked_mul(12)?),
            Calendar::Month => Span::Months(whole),
            Calendar::Week => Span::Micros(whole.checked_mul(7 * 86_400_000_000)?),
            Calendar::Day => Span::Micros(whole.checked_mul(86_400_000_000)?),
            Calendar::Hour => Span::Micros(whole.checked_mul(3_600_000_000)?),
            Calendar::Minute => Span::Micros(whole.checked_mul(60_000_000)?),
            Calendar::Second => Span::Micros(whole.checked_mul(1_000_000)?),
            Calendar::Millisecond => Span::Micros(whole.checked_mul(1_000)?),
        })
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Unit::Ucum(code) => write!(out, "{} '{code}'", self.value),
            Unit::Calendar(unit) => {
                let plural = if self.value == Decimal::ONE { "" } else { "s" };
                write!(out, "{} {}{plural}", self.value, unit.name())
            }
        }
    }
}
