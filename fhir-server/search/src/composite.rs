//! Composite parameters: values that must be found together, in the same element.
//!
//! Where the element is the resource itself and each component says the same as another parameter of the type, that
//! parameter's rows do: no rows are written twice. Elements inside the resource have rows of their own.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fhir_definitions::{ParamKind, SearchParameter};
use fhir_resource::path::Program;

use crate::key::ParamId;
use crate::parameters::Parameters;
use crate::shared::alternatives;

/// A composite parameter of one type, compiled.
#[derive(Debug)]
pub struct Composite {
    /// Gives the elements.
    pub program: Program,
    /// What is looked at in each element, in the order of the values of a query.
    pub components: Vec<Component>,
    /// The parameters that say of the resource itself what the components say; empty: there are none.
    pub plain: Vec<SearchParameter>,
    /// Whether there are elements besides the resource itself, or it needs rows of its own.
    pub nested: bool,
}

/// One part of a composite.
#[derive(Debug)]
pub struct Component {
    /// Where its rows are.
    pub param: ParamId,
    /// Which parameter tells how its values are written.
    pub like: SearchParameter,
    /// Gives its values, from an element on.
    pub program: Program,
}

impl Composite {
    /// The compiled parameter; `None` for one whose parts can't be indexed.
    pub fn of(known: &Parameters, parameter: SearchParameter) -> Option<Arc<Self>> {
        // a stored one may name others that change
        if parameter.as_stored().is_some() {
            return Self::compile(known, parameter).map(Arc::new);
        }
        Self::of_base(known, parameter)
    }

    fn of_base(parameters: &Parameters, parameter: SearchParameter) -> Option<Arc<Self>> {
        static KNOWN: OnceLock<RwLock<HashMap<SearchParameter, Option<Arc<Composite>>>>> = OnceLock::new();
        let known = KNOWN.get_or_init(RwLock::default);
        if let Some(found) = known.read().unwrap_or_else(PoisonError::into_inner).get(&parameter) {
            return found.clone();
        }
        let made = Self::compile(parameters, parameter).map(Arc::new);
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(parameter).or_insert(made).clone()
    }

    /// The compiled parameter; `None` for one whose parts can't be indexed.
    pub fn compile(known: &Parameters, parameter: SearchParameter) -> Option<Self> {
        let definitions = known.definitions();
        let of = definitions.resource_type(parameter.base())?;
        let program = Program::compile(parameter.expression(), definitions, of.name()).ok()?;
        let others: Vec<SearchParameter> = definitions.search_parameters(of).collect();
        let mut likes = Vec::new();
        let mut expressions = Vec::new();
        for component in parameter.components() {
            let like = others
                .iter()
                .copied()
                .find(|other| other.url() == component.definition || other.code() == component.code)
                .or_else(|| known.with_url(component.definition))?;
            if matches!(like.kind(), ParamKind::Composite | ParamKind::Special) {
                return None;
            }
            likes.push(like);
            expressions.push(component.expression);
        }
        let programs = |expressions: &[&str]| {
            let each = expressions.iter().map(|expression| program.component(expression).ok());
            each.collect::<Option<Vec<_>>>()
        };
        let mut parts = programs(&expressions)?;
        if !likes.iter().zip(&parts).all(|(like, part)| suits(like.kind(), part)) {
            // R4's DocumentReference?relationship has the expressions of its two components swapped
            expressions.reverse();
            parts = programs(&expressions)?;
        }
        let mut plain = Vec::new();
        for (like, expression) in likes.iter().zip(&expressions) {
            let parts = |expression| alternatives(definitions, like.kind(), expression, of.name());
            let said = parts(expression);
            let same = |other: &&SearchParameter| {
                let (Some(said), true) = (&said, other.kind() == like.kind()) else {
                    return false;
                };
                let parts = parts(other.expression());
                parts.is_some_and(|parts| parts.len() == said.len() && parts.iter().all(|part| said.contains(part)))
            };
            plain.extend(others.iter().find(same).copied());
        }
        let components = (0u32..).zip(likes.into_iter().zip(parts));
        let components: Vec<Component> = components
            .map(|(index, (like, program))| Component {
                param: ParamId::of_component(parameter, index),
                like,
                program,
            })
            .collect();
        if components.is_empty() {
            return None;
        }
        if !program.gives_resource() || plain.len() < components.len() {
            plain.clear();
        }
        let nested = plain.is_empty() || !program.gives_only_resource();
        Some(Self {
            program,
            components,
            plain,
            nested,
        })
    }
}

/// Whether values of this kind may come out.
fn suits(kind: ParamKind, program: &Program) -> bool {
    let is_reference = |name: &str| matches!(name, "Reference" | "canonical" | "uri");
    program
        .result_types()
        .any(|name| is_reference(name) == (kind == ParamKind::Reference))
}
