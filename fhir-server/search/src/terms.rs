//! What searches ask of terminology (`:in`, `:not-in`, `:above` and `:below` of tokens). Parsing is pure, so it says what it
//! needs by [`SearchError::Needs`]; whoever can find it out does, and parses again.

use std::collections::HashMap;

use fhir_definitions::{Definitions, SearchParameter};

use crate::error::SearchError;
use crate::key;

/// A set of codes that a search is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// The members of a value set, by canonical URL or as `ValueSet/id`.
    Members(String),
    /// A code and all below it in its system.
    Below {
        /// The code system.
        system: String,
        /// The code.
        code: String,
    },
    /// A code and all above it in its system.
    Above {
        /// The code system.
        system: String,
        /// The code.
        code: String,
    },
}

/// Codes with their systems; or why they can't be told.
pub type Answer = Result<Vec<(String, String)>, String>;

/// What is known so far.
#[derive(Debug, Clone, Default)]
pub struct Terms(HashMap<Need, Answer>);

impl Terms {
    /// Adds what was found out.
    pub fn insert(&mut self, need: Need, answer: Answer) {
        self.0.insert(need, answer);
    }

    /// The keys of the codes. Where codes have no system of their own (elements of type `code`) those without one, too.
    pub(crate) fn keys(&self, need: Need, without_system: bool) -> Result<Vec<String>, SearchError> {
        let Some(answer) = self.0.get(&need) else {
            return Err(SearchError::Needs(need));
        };
        let codes = answer.as_ref().map_err(|text| SearchError::BadValue(text.clone()))?;
        let with = codes.iter().map(|(system, code)| key::system_code(system, code));
        let without = codes.iter().filter(|_| without_system);
        Ok(with
            .chain(without.map(|(_, code)| key::system_code("", code)))
            .collect())
    }
}

/// Whether a parameter is about an element of type `code`, whose system its definition knows.
pub(crate) fn is_code(definitions: &'static Definitions, parameter: SearchParameter) -> bool {
    let is_code = |path: &str| {
        let mut names = path.trim().trim_matches(['(', ')']).split('.');
        let mut structure = names.next().and_then(|name| definitions.structure(name));
        for name in names {
            structure = structure
                .and_then(|structure| structure.element(name))
                .map(fhir_definitions::Element::structure);
        }
        structure.is_some_and(|structure| structure.name() == "code")
    };
    parameter.expression().split('|').any(is_code)
}
