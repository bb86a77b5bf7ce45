//! Functions of collections.

use std::cmp::Ordering;

use super::value::{Collection, Value};
use super::{Evaluation, Fault, Scope, boolean, compare, integer, math, single};
use crate::document::Node;
use crate::path::evaluate::Item;
use crate::path::function::Function;
use crate::path::syntax::Syntax;

/// `repeat()` and `descendants()` stop here: nothing real is that deep.
const MOST_ROUNDS: usize = 1_000;

impl<'a> Evaluation<'_, 'a> {
    pub fn collection(
        &self,
        mut input: Collection<'a>,
        function: Function,
        arguments: &'a [Syntax],
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let truth = |value: bool| Ok(vec![Value::Bool(value)]);
        let argument = arguments.first();
        match function {
            Function::Empty => truth(input.is_empty()),
            Function::Exists | Function::Any => match argument {
                None => truth(!input.is_empty()),
                Some(condition) => {
                    for (index, value) in input.iter().enumerate() {
                        if self.holds(condition, value, index, scope)? {
                            return truth(true);
                        }
                    }
                    truth(false)
                }
            },
            Function::All => {
                for (index, value) in input.iter().enumerate() {
                    if let Some(condition) = argument
                        && !self.holds(condition, value, index, scope)?
                    {
                        return truth(false);
                    }
                }
                truth(true)
            }
            Function::AllTrue => truth(all(&input, true)?),
            Function::AllFalse => truth(all(&input, false)?),
            Function::AnyTrue => truth(!all(&input, false)?),
            Function::AnyFalse => truth(!all(&input, true)?),
            Function::Count => Ok(vec![integer(input.len())]),
            Function::Distinct => self.distinct(input),
            Function::IsDistinct => {
                let count = input.len();
                truth(self.distinct(input)?.len() == count)
            }
            Function::Where => {
                let mut kept = Vec::new();
                for (index, value) in input.into_iter().enumerate() {
                    if let Some(condition) = argument
                        && self.holds(condition, &value, index, scope)?
                    {
                        kept.push(value);
                    }
                }
                Ok(kept)
            }
            Function::Select => self.select(&input, argument, scope),
            Function::Repeat => self.repeat(input, argument, scope),
            Function::Single => {
                single(&input, "single()")?;
                Ok(input)
            }
            Function::First => {
                input.truncate(1);
                Ok(input)
            }
            Function::Last => Ok(input.pop().into_iter().collect()),
            Function::Tail => Ok(input.into_iter().skip(1).collect()),
            Function::Skip | Function::Take => {
                let number = self.argument(arguments, 0, scope)?.unwrap_or_default();
                let Some(number) = math::whole(&number, function.name())? else {
                    return Ok(Vec::new());
                };
                let number = usize::try_from(number).unwrap_or(0);
                Ok(if function == Function::Skip {
                    input.into_iter().skip(number).collect()
                } else {
                    input.into_iter().take(number).collect()
                })
            }
            Function::Sort => self.sort(input, arguments, scope),
            Function::Aggregate => self.aggregate(&input, arguments, scope),
            Function::Not => Ok(boolean::truth(&input)?
                .map(|value| Value::Bool(!value))
                .into_iter()
                .collect()),
            Function::Children | Function::Descendants => {
                let mut found = Vec::new();
                for value in &input {
                    if function == Function::Children {
                        self.children(value, &mut found)?;
                    } else {
                        self.descendants(value, &mut found)?;
                    }
                }
                Ok(found)
            }
            _ => {
                let other = self.argument(arguments, 0, scope)?.unwrap_or_default();
                self.sets(input, function, other)
            }
        }
    }

    /// Functions of two collections.
    fn sets(
        &self,
        mut input: Collection<'a>,
        function: Function,
        mut other: Collection<'a>,
    ) -> Result<Collection<'a>, Fault> {
        match function {
            Function::SubsetOf => Ok(vec![Value::Bool(self.is_subset(&input, &other)?)]),
            Function::SupersetOf => Ok(vec![Value::Bool(self.is_subset(&other, &input)?)]),
            Function::Intersect => {
                let kept = self.kept(input, &other, true)?;
                self.distinct(kept)
            }
            Function::Exclude => self.kept(input, &other, false),
            Function::Union => {
                input.append(&mut other);
                self.distinct(input)
            }
            _ => {
                input.append(&mut other);
                Ok(input)
            }
        }
    }

    fn holds(
        &self,
        condition: &'a Syntax,
        value: &Value<'a>,
        index: usize,
        scope: &Scope<'_, 'a>,
    ) -> Result<bool, Fault> {
        let this = std::slice::from_ref(value);
        let result = self.value(condition, &scope.at(this, index))?;
        Ok(boolean::truth(&result)? == Some(true))
    }

    fn contains(&self, values: &[Value<'a>], wanted: &Value<'a>) -> Result<bool, Fault> {
        for value in values {
            if self.is_same(value, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Each value once, in the order of their first appearance.
    pub fn distinct(&self, values: Collection<'a>) -> Result<Collection<'a>, Fault> {
        let mut kept: Collection<'a> = Vec::with_capacity(values.len());
        for value in values {
            if !self.contains(&kept, &value)? {
                kept.push(value);
            }
        }
        Ok(kept)
    }

    fn is_subset(&self, part: &[Value<'a>], whole: &[Value<'a>]) -> Result<bool, Fault> {
        for value in part {
            if !self.contains(whole, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn kept(&self, values: Collection<'a>, other: &[Value<'a>], wanted: bool) -> Result<Collection<'a>, Fault> {
        let mut kept = Vec::new();
        for value in values {
            if self.contains(other, &value)? == wanted {
                kept.push(value);
            }
        }
        Ok(kept)
    }

    fn select(
        &self,
        input: &[Value<'a>],
        projection: Option<&'a Syntax>,
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let mut found = Vec::new();
        for (index, value) in input.iter().enumerate() {
            if let Some(projection) = projection {
                let this = std::slice::from_ref(value);
                found.append(&mut self.value(projection, &scope.at(this, index))?);
            }
        }
        Ok(found)
    }

    fn repeat(
        &self,
        input: Collection<'a>,
        projection: Option<&'a Syntax>,
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let mut found: Collection<'a> = Vec::new();
        let mut round = input;
        for _ in 0..MOST_ROUNDS {
            let mut new = Vec::new();
            for value in self.select(&round, projection, scope)? {
                if !self.is_known(&found, &value)? {
                    found.push(value.clone());
                    new.push(value);
                }
            }
            if new.is_empty() {
                return Ok(found);
            }
            round = new;
        }
        Err(Fault::TooManySteps)
    }

    /// Whether a value has been found: an element by its place, anything else by its value.
    fn is_known(&self, found: &[Value<'a>], value: &Value<'a>) -> Result<bool, Fault> {
        let Value::Element(item) = value else {
            return self.contains(found, value);
        };
        let place = |item: &Item<'_>| item.value.or(item.extra).map(Node::position);
        self.spend(1 + found.len() / 16)?;
        let own = place(item);
        Ok(found
            .iter()
            .any(|other| matches!(other, Value::Element(other) if place(other) == own)))
    }

    fn sort(&self, input: Collection<'a>, keys: &'a [Syntax], scope: &Scope<'_, 'a>) -> Result<Collection<'a>, Fault> {
        let mut rows = Vec::with_capacity(input.len());
        for (index, value) in input.into_iter().enumerate() {
            let mut row = Vec::with_capacity(keys.len().max(1));
            for key in keys {
                let (key, descending) = match key {
                    Syntax::Negative(key) => (&**key, true),
                    key => (key, false),
                };
                let this = std::slice::from_ref(&value);
                let found = self.value(key, &scope.at(this, index))?;
                row.push((single(&found, "sort()")?.and_then(Value::system), descending));
            }
            if keys.is_empty() {
                row.push((value.system(), false));
            }
            rows.push((value, row));
        }
        self.spend(rows.len() * rows.len().max(2).ilog2() as usize)?;
        rows.sort_by(|(_, left), (_, right)| {
            let pairs = left.iter().zip(right);
            let mut orders = pairs.map(|((left, descending), (right, _))| {
                // What is missing comes first in either direction.
                let order = match (left, right) {
                    (None, None) => Ordering::Equal,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(left), Some(right)) => compare::order(left, right).unwrap_or(None).unwrap_or(Ordering::Equal),
                };
                if *descending { order.reverse() } else { order }
            });
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        Ok(rows.into_iter().map(|(value, _)| value).collect())
    }

    fn aggregate(
        &self,
        input: &[Value<'a>],
        arguments: &'a [Syntax],
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let mut total = self.argument(arguments, 1, scope)?.unwrap_or_default();
        let Some(step) = arguments.first() else {
            return Ok(total);
        };
        for (index, value) in input.iter().enumerate() {
            let next = {
                let inner = Scope {
                    this: std::slice::from_ref(value),
                    index: Some(index),
                    total: Some(&total),
                };
                self.value(step, &inner)?
            };
            total = next;
        }
        Ok(total)
    }
}

/// Whether all values are the boolean `wanted`.
fn all(values: &[Value<'_>], wanted: bool) -> Result<bool, Fault> {
    let mut all = true;
    for value in values {
        match value.system() {
            Some(Value::Bool(found)) => all &= found == wanted,
            _ => return Err(Fault::meaning("booleans are expected")),
        }
    }
    Ok(all)
}
