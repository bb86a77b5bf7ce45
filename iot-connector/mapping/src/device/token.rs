//! What an expression of a match sees, and the one token that it finds there.

use std::{borrow::Cow, cell::OnceCell};

use super::Expression;
use crate::{
    jmespath::{self, EvaluationError, Rcvar, Variable},
    json::{Document, Id, Value},
    jsonpath::Scope,
    template::Compatibility,
};

/// A token, whichever language found it.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'d> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written or as computed.
    Number(Cow<'d, str>),
    /// A text.
    Text(Cow<'d, str>),
    /// An object or a list.
    Composite,
}

/// Why there isn't one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There are several.
    Several,
    /// The expression can't be evaluated here.
    Evaluation(EvaluationError),
}

/// What expressions see: the same data in the form of each language, made when it is needed.
pub struct Seen<'d> {
    document: &'d Document<'d>,
    scope: Scope<'d>,
    matched: Id,
    root: Option<&'d OnceCell<Rcvar>>,
    variable: OnceCell<Rcvar>,
}

impl<'d> Seen<'d> {
    /// What a match at this node shows: the whole message with `matchedToken`, or the token alone where there is no `root`,
    /// which is the message for JMESPath as soon as one match has needed it.
    pub fn of_node(document: &'d Document<'d>, matched: Id, root: Option<&'d OnceCell<Rcvar>>) -> Self {
        let scope = if root.is_some() && *document.value(0) == Value::Object {
            Scope::with_matched(document, matched)
        } else if root.is_some() {
            Scope::at(document, 0)
        } else {
            Scope::at(document, matched)
        };
        Self {
            document,
            scope,
            matched,
            root,
            variable: OnceCell::new(),
        }
    }

    /// The same for what JMESPath has found, or made: `document` is its text for JSONPath.
    pub fn of_variable(document: &'d Document<'d>, variable: Rcvar) -> Self {
        let seen = Self::of_node(document, 0, None);
        let _ = seen.variable.set(variable);
        seen
    }

    /// The token that the expression finds; `None` where there is none.
    pub fn one(&self, expression: &Expression) -> Result<Option<Token<'d>>, Trouble> {
        match expression {
            Expression::JsonPath(path) => {
                let found = self.scope.select_one(path).map_err(|()| Trouble::Several)?;
                Ok(found.map(|id| Token::of(self.document.value(id))))
            }
            Expression::JmesPath(query) => {
                let found = query.select(self.variable()).map_err(Trouble::Evaluation)?;
                match &found[..] {
                    [] => Ok(None),
                    // what is projected stays a list there
                    [_] if query.projects() && query.compatibility() == Compatibility::Upstream => {
                        Ok(Some(Token::Composite))
                    }
                    [one] => Ok(Some(Token::of_variable(one))),
                    _ => Err(Trouble::Several),
                }
            }
        }
    }

    fn variable(&self) -> &Rcvar {
        self.variable.get_or_init(|| {
            let matched = jmespath::variable(self.document, self.matched);
            match self.root {
                Some(root) => {
                    let root = root.get_or_init(|| jmespath::variable(self.document, 0));
                    jmespath::with_matched(root, matched)
                }
                None => matched,
            }
        })
    }
}

impl<'d> Token<'d> {
    fn of(value: &'d Value<'d>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(text) => Self::Number(Cow::Borrowed(text)),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array | Value::Object => Self::Composite,
        }
    }

    fn of_variable(variable: &Variable) -> Self {
        match variable {
            Variable::Null => Self::Null,
            Variable::Bool(truth) => Self::Bool(*truth),
            Variable::Number(number) => Self::Number(number.to_string().into()),
            Variable::String(text) => Self::Text(text.clone().into()),
            Variable::Array(_) | Variable::Object(_) | Variable::Expression(_) => Self::Composite,
        }
    }
}
