//! An expression as it is evaluated: functions are looked up, literals are values.

use std::sync::Arc;

use ::jmespath::ast::Comparator;

use super::{functions::Function, value::Rcvar};

/// An operation, and the expressions that it is on.
#[derive(Debug)]
pub enum Expression {
    /// `a.b[0]`; `@` without a step.
    Path(Vec<Step>),
    /// Elements from `start` to before `stop`.
    Slice {
        /// The first, or the end that `step` comes from.
        start: Option<i32>,
        /// The first that isn't taken any more.
        stop: Option<i32>,
        /// From one to the next.
        step: i32,
    },
    /// A value that stands in the expression.
    Literal(Rcvar),
    /// The second sees what the first gives: `a[*] | b`.
    Chain(Box<Self>, Box<Self>),
    /// The second sees each element of the list that the first gives; `null` is left out.
    Projection(Box<Self>, Box<Self>),
    /// A list whose lists are replaced by their elements.
    Flatten(Box<Self>),
    /// The values of an object.
    Values(Box<Self>),
    /// The second where the first is true, else `null`: `[?a]` in a projection.
    Condition(Box<Self>, Box<Self>),
    /// `||`
    Or(Box<Self>, Box<Self>),
    /// `&&`
    And(Box<Self>, Box<Self>),
    /// `!`
    Not(Box<Self>),
    /// `==`, `<` and the others.
    Comparison(Comparator, Box<Self>, Box<Self>),
    /// `[a, b]`
    List(Vec<Self>),
    /// `{a: b}`
    Object(Vec<(Arc<str>, Self)>),
    /// A function of these arguments.
    Call(&'static Function, Vec<Self>),
    /// `&a`
    Reference(Arc<Self>),
}

/// From a value into it.
#[derive(Debug)]
pub enum Step {
    /// To a member.
    Field(String),
    /// To an element; from the end where it is negative.
    Index(i32),
}

impl Expression {
    /// The second expression on what the first gives.
    pub fn chain(first: Self, then: Self) -> Self {
        match (first, then) {
            (Self::Path(mut steps), Self::Path(more)) => {
                steps.extend(more);
                Self::Path(steps)
            }
            (first, then) => Self::Chain(Box::new(first), Box::new(then)),
        }
    }

    /// Whether the elements of the result are matches of their own.
    pub fn projects(&self) -> bool {
        match self {
            Self::Projection(..) | Self::Flatten(_) | Self::Values(_) => true,
            Self::Chain(_, last) => last.projects(),
            _ => false,
        }
    }
}
