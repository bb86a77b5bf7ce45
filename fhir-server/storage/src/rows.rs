//! The index rows that a resource should have.

use std::collections::BTreeSet;

use fhir_search::{Keys, ParamId};

use crate::catalogue::Catalogue;
use crate::owned::{OwnerDate, OwnerExact};
use crate::sql::driving::LONG;

/// Gives the number of a text, a new one where it has none.
pub type Number<'a, E> = dyn FnMut(&str) -> Result<i64, E> + 'a;

/// Parameter, low, high, system, code, element.
pub type Quantity = (i64, Vec<u8>, Vec<u8>, i64, i64, i64);

/// All index rows of one resource. The last part of each is the element whose rows belong together; 0: none.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Rows {
    pub exact: BTreeSet<(i64, i64, i64)>,
    pub dates: BTreeSet<(i64, i64, i64, i64)>,
    pub numbers: BTreeSet<Quantity>,
    /// Parameter, folded, as written (empty: as folded).
    pub strings: BTreeSet<(i64, String, String, i64)>,
    /// Parameter, latitude, longitude: seldom any, never many.
    pub places: Vec<(i64, f64, f64)>,
    /// Made of the others ([`Owned`](crate::owned::Owned)).
    pub owner_dates: BTreeSet<OwnerDate>,
    pub owner_exact: BTreeSet<OwnerExact>,
}

impl Rows {
    /// The rows that `keys` of a resource of this type ask for; `number` gives the number of a text.
    pub fn of<E>(catalogue: &Catalogue, of: i64, keys: &Keys, number: &mut Number<'_, E>) -> Result<Self, E> {
        let mut rows = Self::default();
        rows.add(catalogue, keys, number, 0)?;
        for (element, keys) in (1..).zip(&keys.elements) {
            rows.add(catalogue, keys, number, element)?;
        }
        rows.derive(catalogue, of);
        Ok(rows)
    }

    fn add<E>(
        &mut self,
        catalogue: &Catalogue,
        keys: &Keys,
        number: &mut Number<'_, E>,
        element: i64,
    ) -> Result<(), E> {
        for (param, text) in &keys.exact {
            let value = number(text)?;
            self.exact.insert((catalogue.param(*param), value, element));
        }
        for (param, low, high) in &keys.dates {
            self.dates.insert((catalogue.param(*param), *low, *high, element));
        }
        for row in &keys.numbers {
            let mut unit = |text: &str| {
                if text.is_empty() { Ok(0) } else { number(text) }
            };
            let (system, code) = (unit(&row.system)?, unit(&row.code)?);
            let param = catalogue.param(row.param);
            let (low, high) = (row.low.clone(), row.high.clone());
            self.numbers.insert((param, low, high, system, code, element));
        }
        for (param, folded, exact) in &keys.strings {
            let exact = if exact == folded { String::new() } else { exact.clone() };
            self.strings
                .insert((catalogue.param(*param), folded.clone(), exact, element));
        }
        for place in &keys.places {
            let place = (catalogue.param(place.param), place.latitude, place.longitude);
            if !self.places.contains(&place) {
                self.places.push(place);
            }
        }
        Ok(())
    }

    /// Adds those that are made of others.
    pub fn derive(&mut self, catalogue: &Catalogue, of: i64) {
        if let Some(owned) = catalogue.owned(of) {
            owned.derive(self);
        }
    }

    /// How many those are.
    pub fn owned_count(&self) -> u64 {
        (self.owner_dates.len() + self.owner_exact.len()) as u64
    }

    /// Keeps what belongs to these stored definitions, or what doesn't.
    pub fn keep(&mut self, definitions: &[u32], wanted: bool) {
        let blocks: Vec<_> = definitions.iter().map(|number| ParamId::block(*number)).collect();
        let belongs = |param: i64| {
            let param = u32::try_from(param).unwrap_or_default();
            blocks.iter().any(|block| block.contains(&param)) == wanted
        };
        self.exact.retain(|row| belongs(row.0));
        self.dates.retain(|row| belongs(row.0));
        self.numbers.retain(|row| belongs(row.0));
        self.strings.retain(|row| belongs(row.0));
        self.places.retain(|row| belongs(row.0));
        self.owner_dates.retain(|row| belongs(row.param));
        self.owner_exact.retain(|row| belongs(row.param));
        self.places
            .sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    }

    /// Whether a period is kept among the long ones.
    pub fn is_long(low: i64, high: i64) -> bool {
        high.saturating_sub(low) >= LONG
    }
}
