//! FHIRPath over one resource: what invariants, constraints of profiles and slices ask.
//!
//! It is pure (time, terminology and profiles come in with the [`World`]) and bounded: each step is paid for from a
//! [`Budget`], and an expression that costs more ends with an error.

mod boolean;
mod collections;
mod compare;
mod conversions;
mod functions;
mod math;
mod moment;
mod navigate;
mod number;
mod quantity;
mod text;
mod types;
mod value;

use std::cell::Cell;

use fhir_definitions::{Definitions, Structure};
use thiserror::Error;

use super::PathError;
use super::evaluate::Item;
use super::parser;
use super::syntax::{Operator, Syntax};
use crate::Micros;
use crate::document::Node;
use crate::validation::{NoTerminology, Terminology};

pub use navigate::{Entries, elements};
pub use number::read as read_number;
use value::Collection;
pub use value::{Constant, Value};

/// Why an expression has no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// It took more steps than it may.
    #[error("the expression takes too many steps")]
    TooManySteps,
    /// It asks for what makes no sense.
    #[error("{0}")]
    Meaning(String),
}

impl Fault {
    fn meaning(text: impl Into<String>) -> Self {
        Fault::Meaning(text.into())
    }
}

/// Steps that are left for one or several evaluations.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// Allows `steps` steps: about one for each value that is looked at, and one for each 64 bytes of text that is made.
    pub fn of(steps: usize) -> Self {
        Budget(Cell::new(steps))
    }

    fn spend(&self, steps: usize) -> Result<(), Fault> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.map(drop).ok_or(Fault::TooManySteps)
    }

    /// How many steps are left.
    pub fn left(&self) -> usize {
        self.0.get()
    }
}

/// Says whether a value conforms to the profile of a URL; `None` if the profile isn't known.
pub type Conforms<'w> = &'w dyn Fn(Node<'_>, Structure, &str) -> Option<bool>;

/// What an evaluation knows beside the value that it begins with.
pub struct World<'w, 'a> {
    /// The FHIR version's.
    pub definitions: &'static Definitions,
    /// What `now()` says.
    pub now: Micros,
    /// What `%resource` is.
    pub resource: Item<'a>,
    /// What `%rootResource` is: the resource that contains `%resource`, or itself.
    pub root: Item<'a>,
    /// What `resolve()` finds beside contained resources.
    pub bundle: Option<&'w Entries<'a>>,
    /// What `memberOf()` asks.
    pub terminology: &'w dyn Terminology,
    /// What `conformsTo()` asks beside the types of the FHIR version.
    pub conforms: Option<Conforms<'w>>,
    /// What it may cost.
    pub budget: &'w Budget,
    /// How much it forgives.
    pub rigour: Rigour,
}

/// How much an evaluation forgives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rigour {
    /// `as` takes any number of values, as HL7's published invariants have it.
    Lenient,
    /// What FHIRPath says.
    Standard,
    /// Names that an element can't have are errors, too.
    Strict,
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    syntax: Syntax,
    size: usize,
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Ok(Expression {
            syntax: parser::parse(text)?,
            // A node of the tree takes about as much memory as ten characters stand for.
            size: text.len() * 16,
        })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All values that it has for `this`.
    pub fn evaluate<'a>(&'a self, world: &World<'_, 'a>, this: Item<'a>) -> Result<Vec<Value<'a>>, Fault> {
        let this = [Value::Element(this)];
        let evaluation = Evaluation { world, context: &this };
        let scope = Scope {
            this: &this,
            index: None,
            total: None,
        };
        evaluation.value(&self.syntax, &scope)
    }

    /// Whether it holds for `this`; an empty result is unknown.
    pub fn holds<'a>(&'a self, world: &World<'_, 'a>, this: Item<'a>) -> Result<Option<bool>, Fault> {
        let result = self.evaluate(world, this)?;
        boolean::truth(&result)
    }
}

/// What `$this`, `$index` and `$total` are.
struct Scope<'s, 'a> {
    this: &'s [Value<'a>],
    index: Option<usize>,
    total: Option<&'s [Value<'a>]>,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// The same, looking at one value.
    fn at<'n>(&'n self, this: &'n [Value<'a>], index: usize) -> Scope<'n, 'a>
    where
        's: 'n,
    {
        Scope {
            this,
            index: Some(index),
            total: self.total,
        }
    }
}

/// One evaluation of an expression.
struct Evaluation<'e, 'a> {
    world: &'e World<'e, 'a>,
    /// What `%context` is.
    context: &'e [Value<'a>],
}

impl<'a> Evaluation<'_, 'a> {
    fn spend(&self, steps: usize) -> Result<(), Fault> {
        self.world.budget.spend(steps)
    }

    /// A copy, paid for by its texts.
    fn copied(&self, values: &[Value<'a>]) -> Result<Collection<'a>, Fault> {
        let bytes: usize = values.iter().map(Value::text_bytes).sum();
        self.spend(values.len() + bytes / 64)?;
        Ok(values.to_vec())
    }

    fn value(&self, syntax: &'a Syntax, scope: &Scope<'_, 'a>) -> Result<Collection<'a>, Fault> {
        self.spend(1)?;
        match syntax {
            Syntax::This => self.copied(scope.this),
            Syntax::Index => Ok(scope.index.map(integer).into_iter().collect()),
            Syntax::Total => self.copied(scope.total.unwrap_or_default()),
            Syntax::Nothing => Ok(Vec::new()),
            Syntax::Constant(constant) => Ok(vec![Value::of(constant)]),
            Syntax::Variable(name) => self.variable(name),
            Syntax::Name(name) => self.name(name, scope),
            Syntax::Member(of, name) => {
                let of = self.value(of, scope)?;
                let mut found = Vec::new();
                for value in &of {
                    self.member(value, name, &mut found)?;
                }
                Ok(found)
            }
            Syntax::At(of, index) => {
                let mut of = self.value(of, scope)?;
                let index = self.value(index, scope)?;
                let Some(index) = math::whole(&index, "[]")? else {
                    return Ok(Vec::new());
                };
                let index = usize::try_from(index).ok().filter(|index| *index < of.len());
                Ok(index.map(|index| of.swap_remove(index)).into_iter().collect())
            }
            Syntax::Call(of, function, arguments) => {
                let input = match of {
                    Some(of) => Some(self.value(of, scope)?),
                    None => None,
                };
                self.call(input, *function, arguments, scope)
            }
            Syntax::As(of, wanted) => {
                let of = self.value(of, scope)?;
                self.cast(of, wanted, true)
            }
            Syntax::Is(of, wanted) => {
                let of = self.value(of, scope)?;
                self.is(&of, wanted)
            }
            Syntax::Type(wanted) => Err(Fault::meaning(format!("`{}` is a type, not a value", wanted.name))),
            Syntax::Union(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.append(&mut self.value(part, scope)?);
                }
                self.distinct(all)
            }
            Syntax::Negative(of) => math::negative(&self.value(of, scope)?),
            Syntax::Positive(of) => {
                let of = self.value(of, scope)?;
                math::negative(&of)?;
                Ok(of)
            }
            Syntax::Binary(operator, left, right) => self.binary(*operator, left, right, scope),
        }
    }

    /// A name at the start of a path: the type of what is looked at, or an element of it.
    fn name(&self, name: &str, scope: &Scope<'_, 'a>) -> Result<Collection<'a>, Fault> {
        let mut found = Vec::new();
        let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
        for value in scope.this {
            match value {
                Value::Element(item) if is_type && item.structure.is_a(name) => found.push(value.clone()),
                _ => self.member(value, name, &mut found)?,
            }
        }
        Ok(found)
    }

    fn variable(&self, name: &str) -> Result<Collection<'a>, Fault> {
        let text = |text: String| Ok(vec![Value::Text(text.into())]);
        match name {
            "resource" => Ok(vec![Value::Element(self.world.resource)]),
            "rootResource" => Ok(vec![Value::Element(self.world.root)]),
            "context" => Ok(self.context.to_vec()),
            "ucum" => text("http://unitsofmeasure.org".to_owned()),
            "sct" => text("http://snomed.info/sct".to_owned()),
            "loinc" => text("http://loinc.org".to_owned()),
            "us-zip" => text("[0-9]{5}(-[0-9]{4}){0,1}".to_owned()),
            _ => match name.split_once('-') {
                Some(("vs", set)) => text(format!("http://hl7.org/fhir/ValueSet/{set}")),
                Some(("ext", extension)) => text(format!("http://hl7.org/fhir/StructureDefinition/{extension}")),
                _ => Err(Fault::meaning(format!("unknown variable `%{name}`"))),
            },
        }
    }

    fn binary(
        &self,
        operator: Operator,
        left: &'a Syntax,
        right: &'a Syntax,
        scope: &Scope<'_, 'a>,
    ) -> Result<Collection<'a>, Fault> {
        let left = self.value(left, scope)?;
        if matches!(
            operator,
            Operator::And | Operator::Or | Operator::Xor | Operator::Implies
        ) {
            let left = boolean::truth(&left)?;
            if let Some(known) = boolean::decided(operator, left) {
                return Ok(vec![Value::Bool(known)]);
            }
            let right = boolean::truth(&self.value(right, scope)?)?;
            return Ok(boolean::logic(operator, left, right)
                .map(Value::Bool)
                .into_iter()
                .collect());
        }
        let right = self.value(right, scope)?;
        self.operate(operator, &left, &right)
    }

    fn operate(&self, operator: Operator, left: &[Value<'a>], right: &[Value<'a>]) -> Result<Collection<'a>, Fault> {
        let boolean = |value: Option<bool>| value.map(Value::Bool).into_iter().collect();
        match operator {
            Operator::Equal => Ok(boolean(self.equal(left, right)?)),
            Operator::Unequal => Ok(boolean(self.equal(left, right)?.map(|equal| !equal))),
            Operator::Equivalent => Ok(boolean(Some(self.equivalent(left, right)?))),
            Operator::NotEquivalent => Ok(boolean(Some(!self.equivalent(left, right)?))),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                Ok(boolean(compare::ordered(operator, left, right)?))
            }
            Operator::In => Ok(boolean(self.within(left, right)?)),
            Operator::Contains => Ok(boolean(self.within(right, left)?)),
            Operator::Concatenate => self.concatenate(left, right),
            Operator::Multiply
            | Operator::Divide
            | Operator::Div
            | Operator::Mod
            | Operator::Add
            | Operator::Subtract => {
                let result = math::reckon(operator, left, right)?;
                if let Some(Value::Text(text)) = &result {
                    self.spend(text.len() / 64)?;
                }
                Ok(result.into_iter().collect())
            }
            Operator::And | Operator::Or | Operator::Xor | Operator::Implies => Ok(Vec::new()),
        }
    }
}

fn integer<'a>(number: usize) -> Value<'a> {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The only value of a collection, if there is one.
fn single<'v, 'a>(values: &'v [Value<'a>], what: &str) -> Result<Option<&'v Value<'a>>, Fault> {
    match values {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(Fault::meaning(format!(
            "`{what}` takes one value, not {}",
            values.len()
        ))),
    }
}

/// The only value as FHIRPath's own.
fn single_system<'a>(values: &[Value<'a>], what: &str) -> Result<Option<Value<'a>>, Fault> {
    Ok(single(values, what)?.and_then(Value::system))
}

/// A world that knows a resource and nothing else.
impl<'w, 'a> World<'w, 'a> {
    /// `resource` is looked at by itself.
    pub fn of(definitions: &'static Definitions, now: Micros, resource: Item<'a>, budget: &'w Budget) -> Self {
        World {
            definitions,
            now,
            resource,
            root: resource,
            bundle: None,
            terminology: &NoTerminology,
            conforms: None,
            budget,
            rigour: Rigour::Standard,
        }
    }
}
