//! Units of UCUM: what a quantity is in the canonical unit of its dimension, so that 5.4 mg are found as 0.0054 g.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use octofhir_ucum::{Number, evaluate, get_canonical_units, parse_expression};

use crate::decimal::Decimal;

/// UCUM as FHIR names it.
pub const SYSTEM: &str = "http://unitsofmeasure.org";

/// A unit is short; longer texts are none.
const MAX_CODE: usize = 64;
/// Units that are remembered; real data has some hundreds.
const REMEMBERED: usize = 1_000;

/// How quantities of a unit become canonical.
#[derive(Debug)]
pub struct Canonical {
    /// The canonical unit: `g`, `g.m-1.s-2`.
    pub unit: String,
    factor: Decimal,
    offset: Decimal,
}

impl Canonical {
    /// The key of a value in the canonical unit; `None`: it has too many digits for that.
    pub fn key(&self, value: Decimal) -> Option<Vec<u8>> {
        value.converted_key(self.factor, self.offset)
    }

    /// How many canonical units one of this is.
    pub fn factor(&self) -> f64 {
        self.factor.to_f64()
    }
}

/// What a unit of `system` is canonically; `None`: no unit of UCUM, or one that no factor converts (pH, bel).
pub fn canonical(system: &str, code: &str) -> Option<Arc<Canonical>> {
    static KNOWN: OnceLock<RwLock<HashMap<String, Option<Arc<Canonical>>>>> = OnceLock::new();
    if system != SYSTEM || code.is_empty() || code.len() > MAX_CODE {
        return None;
    }
    let known = KNOWN.get_or_init(RwLock::default);
    if let Some(found) = known.read().unwrap_or_else(PoisonError::into_inner).get(code) {
        return found.clone();
    }
    let made = convert(code).map(Arc::new);
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() < REMEMBERED {
        known.insert(code.to_owned(), made.clone());
    }
    made
}

fn convert(code: &str) -> Option<Canonical> {
    // asked first, since a refusal below looks for what might have been meant
    evaluate(&parse_expression(code).ok()?).ok()?;
    let found = get_canonical_units(code).ok()?;
    Some(Canonical {
        unit: found.unit,
        factor: decimal(found.factor)?,
        offset: decimal(found.offset)?,
    })
}

fn decimal(number: Number) -> Option<Decimal> {
    Decimal::parse(&number.to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::key;

    #[rstest]
    #[case("5.4", "mg", "0.0054", "g")]
    #[case("1", "h", "60", "min")]
    #[case("1", "[lb_av]", "453.59237", "g")]
    #[case("98.6", "[degF]", "37", "Cel")]
    #[case("120", "mm[Hg]", "15.99864", "kPa")]
    #[case("60", "/min", "1", "/s")]
    #[case("5", "10*3/uL", "5", "10*9/L")]
    #[case("3", "[IU]/mL", "3000", "[IU]/L")]
    fn one_amount_has_one_key(#[case] value: &str, #[case] unit: &str, #[case] same: &str, #[case] other: &str) {
        let of = |value: &str, unit: &str| {
            let canonical = canonical(SYSTEM, unit).expect("a unit");
            (
                canonical.unit.clone(),
                canonical.key(Decimal::parse(value).expect("a number")),
            )
        };
        assert_eq!(of(value, unit), of(same, other));
    }

    #[rstest]
    #[case("http://other", "mg")]
    #[case(SYSTEM, "")]
    #[case(SYSTEM, "beats")]
    #[case(SYSTEM, "[pH]")]
    #[case(SYSTEM, "10*99999999")]
    fn what_no_factor_converts_is_none(#[case] system: &str, #[case] unit: &str) {
        assert!(canonical(system, unit).is_none());
    }

    #[test]
    fn order_is_kept() {
        let unit = canonical(SYSTEM, "mg").expect("a unit");
        let keys = ["-1", "0", "0.5", "5.3999", "5.4", "5.40001"].map(|text| unit.key(Decimal::parse(text).unwrap()));
        assert!(keys.is_sorted());
        assert_eq!(
            unit.key(Decimal::parse("1000").unwrap()),
            Some(key::number(Decimal::parse("1").unwrap()))
        );
    }
}
