//! The search parameters in force: FHIR's, and those of the service's own, by generation.
//!
//! Every change of the service's own parameters is a new generation. What is written carries the generation that its keys
//! were made by, so that storage can tell keys that lack a parameter.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use fhir_definitions::{Definitions, ResourceType, SearchParameter};

/// Whether searches may use a parameter of the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Only new and changed resources have its rows: it is written, not searched.
    Filling,
    /// All resources have its rows.
    Ready,
}

/// The parameters of one generation.
#[derive(Debug, Clone)]
pub struct Parameters {
    definitions: &'static Definitions,
    generation: u64,
    own: Vec<(SearchParameter, Readiness)>,
    /// URLs of those that aren't searched, though their rows are there.
    disabled: BTreeSet<String>,
    partial: bool,
}

impl Parameters {
    /// FHIR's alone: the generation of a new database.
    pub fn base(definitions: &'static Definitions) -> Self {
        Self::new(definitions, 0, Vec::new())
    }

    /// FHIR's and these.
    pub fn new(definitions: &'static Definitions, generation: u64, own: Vec<(SearchParameter, Readiness)>) -> Self {
        Self {
            definitions,
            generation,
            own,
            disabled: BTreeSet::new(),
            partial: false,
        }
    }

    /// The same, but nothing is searched by those with these URLs.
    #[must_use]
    pub fn without(self, disabled: BTreeSet<String>) -> Self {
        Self { disabled, ..self }
    }

    /// Whether searches may not use a parameter, though its rows are there.
    pub fn is_disabled(&self, parameter: SearchParameter) -> bool {
        !self.disabled.is_empty() && self.disabled.contains(parameter.url())
    }

    /// The same, but what is being filled counts as ready: for trying a new parameter out.
    #[must_use]
    pub fn partial(&self) -> Self {
        Self {
            partial: true,
            ..self.clone()
        }
    }

    /// FHIR's tables.
    pub fn definitions(&self) -> &'static Definitions {
        self.definitions
    }

    /// Goes up with each change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Those that searches of a type may use.
    pub fn searched(&self, of: ResourceType) -> impl Iterator<Item = SearchParameter> {
        self.definitions
            .search_parameters(of)
            .chain(self.own_of(of, self.partial))
            .filter(|parameter| !self.is_disabled(*parameter))
    }

    /// Those whose rows are written for a type.
    pub fn indexed(&self, of: ResourceType) -> impl Iterator<Item = SearchParameter> {
        self.definitions.search_parameters(of).chain(self.own_of(of, true))
    }

    /// The parameter `code` of a type, for a search.
    pub fn find(&self, of: ResourceType, code: &str) -> Option<SearchParameter> {
        let found = self
            .definitions
            .search_parameter(of, code)
            .or_else(|| self.own_of(of, self.partial).find(|parameter| parameter.code() == code));
        found.filter(|parameter| !self.is_disabled(*parameter))
    }

    /// The parameter `code` that every resource has.
    pub fn find_common(&self, code: &str) -> Option<SearchParameter> {
        let found = self.definitions.resource_search_parameter(code).or_else(|| {
            self.usable(self.partial)
                .find(|parameter| parameter.base() == RESOURCE && parameter.code() == code)
        });
        found.filter(|parameter| !self.is_disabled(*parameter))
    }

    /// Those that every resource has.
    pub fn common(&self) -> impl Iterator<Item = SearchParameter> {
        let own = self.usable(self.partial);
        self.definitions
            .resource_search_parameters()
            .chain(own.filter(|parameter| parameter.base() == RESOURCE))
            .filter(|parameter| !self.is_disabled(*parameter))
    }

    /// Whether a type has a parameter `code` that is being filled.
    pub fn is_filling(&self, of: ResourceType, code: &str) -> bool {
        self.find(of, code).is_none() && self.own_of(of, true).any(|parameter| parameter.code() == code)
    }

    /// All of them: FHIR's, then the service's own; and whether all resources have its rows.
    pub fn all(&self) -> impl Iterator<Item = (SearchParameter, Readiness)> {
        let base = self.definitions.all_search_parameters();
        base.map(|parameter| (parameter, Readiness::Ready))
            .chain(self.own.iter().copied())
    }

    /// A parameter with this canonical URL, whatever its type.
    pub fn with_url(&self, url: &str) -> Option<SearchParameter> {
        self.definitions
            .all_search_parameters()
            .chain(self.usable(true))
            .find(|parameter| parameter.url() == url)
    }

    fn usable(&self, filling: bool) -> impl Iterator<Item = SearchParameter> {
        let fits = move |(_, readiness): &&(SearchParameter, Readiness)| filling || *readiness == Readiness::Ready;
        self.own.iter().filter(fits).map(|(parameter, _)| *parameter)
    }

    fn own_of(&self, of: ResourceType, filling: bool) -> impl Iterator<Item = SearchParameter> {
        let structure = of.structure();
        self.usable(filling)
            .filter(move |parameter| structure.is_a(parameter.base()))
    }
}

/// The type that all resources are.
const RESOURCE: &str = "Resource";

/// The parameters in force, which change while the server runs; clones see the same.
#[derive(Debug, Clone)]
pub struct InForce(Arc<RwLock<Arc<Parameters>>>);

impl InForce {
    /// Begins with these.
    pub fn new(parameters: Parameters) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(parameters))))
    }

    /// Those in force now.
    pub fn load(&self) -> Arc<Parameters> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in force, unless newer ones are.
    pub fn store(&self, parameters: Parameters) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if parameters.generation >= current.generation {
            *current = Arc::new(parameters);
        }
    }
}
