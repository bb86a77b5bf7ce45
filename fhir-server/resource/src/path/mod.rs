//! FHIRPath: one parser and one syntax tree, walked in two ways. [`Expression`] is all of FHIRPath, for invariants and
//! profiles. [`Program`] is what search parameters and patches need of it, lowered over the tables of a FHIR version, so
//! that nothing is looked up or allocated while a resource is indexed.
//!
//! A program has paths with choice types, `as`, `is`, `ofType()`, `extension(url)`, `where(…)` and `exists(…)` with `=`, `!=`,
//! `and`, `or`, `not()`, `exists()`, `empty()`; `first()`, indexes, `resolve() is T`, `|`, `%resource` and `$this`. Anything
//! else is refused by name when it is compiled. The same functions serve base and custom search parameters.

mod engine;
mod evaluate;
mod function;
mod lexer;
mod lower;
mod parser;
mod steps;
mod syntax;

use fhir_definitions::{Definitions, Structure};
use thiserror::Error;

use crate::document::Node;
use evaluate::Context;
use steps::Lowered;

pub use engine::{Budget, Conforms, Entries, Expression, Fault, Rigour, Value, World};
pub(crate) use engine::{elements, read_number};
pub use evaluate::Item;
pub(crate) use evaluate::{actual, member_values};

/// Why an expression is no path of a search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// Not FHIRPath.
    #[error("the expression can't be read at `{0}`")]
    Syntax(String),
    /// FHIRPath that search parameters don't have here.
    #[error("`{0}` isn't supported in the expression of a search parameter")]
    Unsupported(String),
    /// A function that FHIRPath doesn't have.
    #[error("unknown function `{0}()`")]
    UnknownFunction(String),
    /// A function with too few or too many arguments.
    #[error("`{0}()` doesn't take this number of arguments")]
    Arguments(&'static str),
    /// A type that the FHIR version doesn't have.
    #[error("unknown type `{0}`")]
    UnknownType(String),
    /// An element that the type doesn't have.
    #[error("`{owner}` has no element `{name}`")]
    UnknownElement {
        /// The type before the dot.
        owner: String,
        /// The name after it.
        name: String,
    },
    /// No alternative of the expression begins at the type that it is compiled for.
    #[error("the expression says nothing about `{0}`")]
    OtherType(String),
    /// Longer or nested deeper than any real expression.
    #[error("the expression is too long or nested too deep")]
    TooLarge,
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Program {
    definitions: &'static Definitions,
    expression: Lowered,
    results: Vec<Structure>,
    /// What `%resource` is.
    resource: Structure,
}

impl Program {
    /// Compiles `expression` for resources (or elements) of the type `type_name`. Alternatives of a union that begin at
    /// another type are left out.
    pub fn compile(expression: &str, definitions: &'static Definitions, type_name: &str) -> Result<Program, PathError> {
        let resource = definitions
            .structure(type_name)
            .ok_or_else(|| PathError::UnknownType(type_name.to_owned()))?;
        Self::lowered(expression, definitions, &[resource], resource)
    }

    /// Compiles the `expression` of a component, which begins at the elements that this composite's expression gives.
    pub fn component(&self, expression: &str) -> Result<Program, PathError> {
        Self::lowered(expression, self.definitions, &self.results, self.resource)
    }

    fn lowered(
        expression: &str,
        definitions: &'static Definitions,
        from: &[Structure],
        resource: Structure,
    ) -> Result<Program, PathError> {
        let syntax = parser::parse(expression)?;
        let (expression, results) = lower::lower(&syntax, definitions, from, resource)?;
        Ok(Program {
            definitions,
            expression,
            results,
            resource,
        })
    }

    /// Calls `visit` with every value of `resource` that the expression gives, and the name of its FHIR type.
    pub fn evaluate<'a>(&self, resource: Node<'a>, visit: &mut dyn FnMut(Node<'a>, &'static str)) {
        self.evaluate_in(resource, resource, self.resource.name(), visit);
    }

    /// Like [`Program::evaluate`] for a component: begins at `element`, a value of type `type_name` inside `resource`.
    pub fn evaluate_in<'a>(
        &self,
        resource: Node<'a>,
        element: Node<'a>,
        type_name: &str,
        visit: &mut dyn FnMut(Node<'a>, &'static str),
    ) {
        let from = if type_name == self.resource.name() {
            Some(self.resource)
        } else {
            self.definitions.structure(type_name)
        };
        let Some(from) = from else { return };
        let this = Item {
            value: Some(element),
            extra: None,
            structure: from,
        };
        let resource = Item {
            value: Some(resource),
            extra: None,
            structure: self.resource,
        };
        let context = Context {
            definitions: self.definitions,
            this,
            resource,
        };
        self.expression.each(&context, &mut |item| {
            if let Some(value) = item.value.filter(|value| !value.is_null()) {
                visit(value, item.structure.name());
            }
        });
    }

    /// The members of the resource of which at least one must be there for a value to come out; `None` if the expression
    /// may have a value without any of them.
    pub fn entry_members(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        self.expression
            .entry_members(self.resource, &mut names)
            .then_some(names)
    }

    /// Like [`Program::entry_members`], but for the values inside the resource only, not for the resource itself.
    pub fn inner_entry_members(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        let parts = self.expression.alternatives().iter().filter(|part| !part.is_resource());
        let mut all = parts.map(|part| part.entry_members(self.resource, &mut names));
        all.all(|known| known).then_some(names)
    }

    /// Whether the resource itself is among the values.
    pub fn gives_resource(&self) -> bool {
        self.expression.alternatives().iter().any(Lowered::is_resource)
    }

    /// Whether the resource itself is the only value.
    pub fn gives_only_resource(&self) -> bool {
        self.expression.alternatives().iter().all(Lowered::is_resource)
    }

    /// The names of the types that values may have.
    pub fn result_types(&self) -> impl Iterator<Item = &'static str> {
        self.results.iter().map(|structure| structure.name())
    }
}

/// Programs of one version are equal if they take the same steps from the same type.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.resource == other.resource && self.expression == other.expression
    }
}
