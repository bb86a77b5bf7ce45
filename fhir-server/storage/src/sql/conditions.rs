//! What must hold, with numbers for what a plan names; and how chains and owners are made part of it.

use fhir_search::{Filter, Plan, Sort, SortBy, SortKey};

use super::condition::Condition;
use super::dialect::Dialect;
use super::driving::{counted, other_end};
use super::owner::{self, Owner};
use super::resolve::{Find, resolve};
use super::{Sql, links};
use crate::catalogue::Catalogue;
use crate::owned::Owned;

/// Resources at the other end of a chain up to which references to them are asked for instead.
pub const NEAR: i64 = 64;

/// What must hold.
#[derive(Clone)]
pub struct Conditions {
    pub(super) all: Vec<Condition>,
    pub(super) types: Vec<i64>,
    /// All rows of one of them are of the types asked for.
    pub(super) typed: bool,
    /// The references of its chains are of the type asked for.
    pub(super) linked: bool,
    /// What the only type keeps with an owner.
    pub(super) owned: Option<Owned>,
    /// Who that is.
    pub(super) owner: Option<Owner>,
    /// The order of the page is that of the dates which are kept with an owner.
    pub(super) by_date: bool,
}

/// Runs a statement that gives numbers.
pub type Ask<'a, E> = dyn FnMut(Sql) -> Result<Vec<i64>, E> + 'a;

/// The conditions of a plan; `None`: nothing can match.
pub fn conditions<E>(catalogue: &Catalogue, plan: &Plan, find: &mut Find<'_, E>) -> Result<Option<Conditions>, E> {
    let mut all = Vec::new();
    let mut typed = plan.types.is_empty();
    let mut linked = false;
    let mut types = plan.types.iter();
    let only = types.next().filter(|_| types.next().is_none());
    for filter in &plan.filters {
        if let (Filter::Exact(param, _) | Filter::Linked { param, .. }, Some(only)) = (filter, only) {
            let of = catalogue.param_type(*param);
            let of_type = of.is_some_and(|of| catalogue.type_number(only) == Some(of));
            match filter {
                Filter::Linked { .. } => linked |= of_type,
                _ => typed |= of_type,
            }
        }
        for condition in resolve(catalogue, filter, find)?.conjuncts() {
            match condition {
                Condition::Constant(true) => {}
                Condition::Constant(false) => return Ok(None),
                other => all.push(other),
            }
        }
    }
    let types = plan
        .types
        .iter()
        .filter_map(|name| catalogue.type_number(name))
        .collect();
    let owned = only.and_then(|only| catalogue.owned(catalogue.type_number(only)?));
    let by_date = owned.is_some_and(|owned| match &plan.sort {
        Sort::Values(keys) => match keys.as_slice() {
            [
                SortKey {
                    by: SortBy::Date(params),
                    ..
                },
            ] => params.len() == 1 && catalogue.param(params[0]) == owned.date,
            _ => false,
        },
        _ => false,
    });
    let mut conditions = Conditions {
        all,
        types,
        typed,
        linked,
        owned: owned.copied(),
        owner: None,
        by_date,
    };
    // owners are of one type
    let is_typed = |condition: &Condition| match condition {
        Condition::Owns(owns) => conditions.types == [owns.target],
        _ => false,
    };
    conditions.typed |= conditions.all.iter().any(is_typed);
    Ok(Some(conditions))
}

/// A chain that may become references to the resources that it ends at.
pub struct Chain {
    /// Its place among the conditions.
    pub at: usize,
    /// How many resources are at its other end, counted up to one more than [`NEAR`].
    pub end: Sql,
    /// The numbers of the references to them.
    pub references: Sql,
}

impl Conditions {
    /// What they say of one owner as rows of owners have it, once chains are followed.
    pub fn of_owner(mut self) -> Self {
        self.owner = self.owned.and_then(|owned| owner::find(&mut self.all, &owned));
        self
    }

    /// The chains whose other end has an index to begin with.
    pub fn chains(&self, dialect: Dialect) -> Vec<Chain> {
        let chain = |(at, condition): (usize, &Condition)| {
            let references = links::references(dialect, condition)?;
            let end = counted(other_end(dialect, condition)?, NEAR + 1);
            Some(Chain { at, end, references })
        };
        self.all.iter().enumerate().filter_map(chain).collect()
    }

    /// A chain becomes the references that it ends at; whether anything can match.
    pub fn lead(&mut self, at: usize, mut values: Vec<i64>) -> bool {
        let Condition::Linked { param, .. } = self.all[at] else {
            return true;
        };
        if values.is_empty() {
            return false;
        }
        values.sort_unstable();
        values.dedup();
        self.all[at] = Condition::Exact { param, values };
        self.typed |= self.linked;
        true
    }

    /// Chains that end at few resources become references to these, whose rows lie in the order of the page. `None`:
    /// nothing can match.
    pub fn follow<E>(mut self, dialect: Dialect, ask: &mut Ask<'_, E>) -> Result<Option<Self>, E> {
        for chain in self.chains(dialect) {
            if ask(chain.end)?.first().is_none_or(|hits| *hits > NEAR) {
                continue;
            }
            if !self.lead(chain.at, ask(chain.references)?) {
                return Ok(None);
            }
        }
        Ok(Some(self.of_owner()))
    }
}
