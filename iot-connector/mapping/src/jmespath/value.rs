//! Values that expressions see and give: JSON whose objects keep the order of the document, shared and never changed.

use std::{cmp::Ordering, fmt, sync::Arc};

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::{
    expression::{Expression, Step},
    number::Number,
};
use crate::json::{Document, Id, Value};

/// A shared value.
pub type Rcvar = Arc<Variable>;

/// Members in the order of their first appearance; of equal names the last counts, as in Newtonsoft's `JObject`.
pub type Members = IndexMap<Arc<str>, Rcvar>;

/// A value.
#[derive(Debug, Clone)]
pub enum Variable {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Rcvar>),
    /// An object.
    Object(Members),
    /// An expression (`&…`) for a function.
    Expression(Arc<Expression>),
}

impl Variable {
    /// The name of its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
            Self::Expression(_) => "expref",
        }
    }

    /// Everything but `null`, `false` and what is empty.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Expression(_) => false,
            Self::Bool(truth) => *truth,
            Self::Number(_) => true,
            Self::String(text) => !text.is_empty(),
            Self::Array(elements) => !elements.is_empty(),
            Self::Object(members) => !members.is_empty(),
        }
    }

    /// Where a step leads.
    pub fn step(&self, step: &Step) -> Option<&Rcvar> {
        match (self, step) {
            (Self::Object(members), Step::Field(name)) => member(members, name),
            (Self::Array(elements), Step::Index(index)) => {
                let from_the_end = || elements.len().checked_sub(index.unsigned_abs().try_into().ok()?);
                let index = usize::try_from(*index).ok().or_else(from_the_end)?;
                elements.get(index)
            }
            _ => None,
        }
    }

    /// Which of two numbers or two texts is smaller; `None` for all else.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Some(left.order(right)),
            (Self::String(left), Self::String(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left.equals(right),
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Array(left), Self::Array(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => left == right,
            (Self::Expression(left), Self::Expression(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Expression(_) => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(elements) => serializer.collect_seq(elements.iter().map(|element| &**element)),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(name, member)| (&**name, &**member))),
        }
    }
}

/// As JSON.
impl fmt::Display for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Up to so many members are looked through faster than a name is hashed.
const FEW: usize = 8;

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a Rcvar> {
    if members.len() > FEW {
        return members.get(name);
    }
    let mut few = members.iter();
    few.find_map(|(known, member)| (**known == *name).then_some(member))
}

/// A node of a document as JMESPath sees it.
pub fn variable(document: &Document<'_>, id: Id) -> Rcvar {
    Rcvar::new(match document.value(id) {
        Value::Null => Variable::Null,
        Value::Bool(truth) => Variable::Bool(*truth),
        Value::Number(text) => Variable::Number(Number::written(text)),
        Value::String(text) => Variable::String(text.to_string()),
        Value::Array => Variable::Array(document.children(id).map(|child| variable(document, child)).collect()),
        Value::Object => {
            let mut members = Members::with_capacity(document.children(id).count());
            for child in document.children(id) {
                let name = document.key(child).unwrap_or_default();
                members.insert(name.into(), variable(document, child));
            }
            Variable::Object(members)
        }
    })
}

/// What `CalculatedContent` sees of a match: the message with `matchedToken`, in the place of a member of that name or
/// behind all others. A message that isn't an object has no members, so it is seen as it is.
pub fn with_matched(root: &Rcvar, matched: Rcvar) -> Rcvar {
    match &**root {
        Variable::Object(members) => {
            let mut members = members.clone();
            members.insert("matchedToken".into(), matched);
            Rcvar::new(Variable::Object(members))
        }
        _ => root.clone(),
    }
}
