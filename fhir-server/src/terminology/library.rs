//! The value sets and code systems that are known at one moment: stored ones that were read for the purpose, and behind
//! them those of the base specification.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use fhir_resource::Micros;
use fhir_resource::validation::{Coded, Membership, Terminology};

use super::base::Base;
use super::canonical::{Canonical, compare};
use super::code_system::CodeSystem;
use super::membership;
use super::value_set::ValueSet;

/// What is known.
#[derive(Clone)]
pub struct Library {
    base: Arc<Base>,
    /// By URL without version; what was changed last comes first.
    value_sets: HashMap<String, Vec<Arc<ValueSet>>>,
    code_systems: HashMap<String, Vec<Arc<CodeSystem>>>,
    /// What of which version was found under which URL: what follows from the library follows from this.
    trace: Trace,
    /// Value sets that validation asked for without anybody having looked whether they are stored.
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// Kind of resource and URL that were looked up, and the versions that were found.
pub type Trace = BTreeMap<(Kind, String), Vec<Identity>>;

/// One version of a resource for ever: its id and when it was committed.
pub type Identity = (String, Micros);

/// What is looked up by URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Value sets.
    ValueSet,
    /// Code systems.
    CodeSystem,
}

impl Library {
    /// The base content alone.
    pub fn of(base: &Arc<Base>) -> Self {
        Self {
            base: Arc::clone(base),
            value_sets: HashMap::new(),
            code_systems: HashMap::new(),
            trace: Trace::new(),
            asked: Arc::default(),
        }
    }

    /// What validation asked for since the last time, to be looked up.
    pub fn asked(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers which versions were found.
    pub fn found(&mut self, kind: Kind, url: &str, versions: Vec<Identity>) {
        self.trace.insert((kind, url.to_owned()), versions);
    }

    /// Two libraries with equal traces know the same.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Says which value sets are stored under a URL.
    pub fn add_value_sets(&mut self, url: &str, stored: Vec<Arc<ValueSet>>) {
        self.value_sets.insert(url.to_owned(), stored);
    }

    /// Says which code systems are stored under a URL.
    pub fn add_code_systems(&mut self, url: &str, stored: Vec<Arc<CodeSystem>>) {
        self.code_systems.insert(url.to_owned(), stored);
    }

    /// Whether it was said which value sets are stored under a URL.
    pub fn has_value_sets(&self, url: &str) -> bool {
        self.value_sets.contains_key(url)
    }

    /// Whether it was said which code systems are stored under a URL.
    pub fn has_code_systems(&self, url: &str) -> bool {
        self.code_systems.contains_key(url)
    }

    /// How many value sets and code systems are stored under the URLs that were asked about.
    pub fn stored(&self) -> usize {
        let value_sets = self.value_sets.values().map(Vec::len);
        value_sets.chain(self.code_systems.values().map(Vec::len)).sum()
    }

    /// A value set: of a version if one is named, else the latest; stored ones before the base's.
    pub fn value_set(&self, wanted: Canonical<'_>) -> Option<Arc<ValueSet>> {
        let stored = self.value_sets.get(wanted.url).map_or(&[][..], Vec::as_slice);
        choose(stored, wanted, |found| found.version.as_deref()).or_else(|| self.base.value_set(wanted))
    }

    /// A code system, chosen the same way.
    pub fn code_system(&self, wanted: Canonical<'_>) -> Option<Arc<CodeSystem>> {
        let stored = self.code_systems.get(wanted.url).map_or(&[][..], Vec::as_slice);
        choose(stored, wanted, |found| found.version.as_deref()).or_else(|| self.base.code_system(wanted))
    }
}

fn choose<T>(stored: &[Arc<T>], wanted: Canonical<'_>, version: impl Fn(&T) -> Option<&str>) -> Option<Arc<T>> {
    let fits = |found: &&Arc<T>| wanted.version.is_none() || version(found) == wanted.version;
    // Of equal versions the first one counts, which was changed last.
    let fitting = stored.iter().rev().filter(fits);
    fitting
        .max_by(|left, right| {
            let of = |found| version(found).unwrap_or_default();
            compare(of(left), of(right))
        })
        .cloned()
}

impl Terminology for Library {
    fn member(&self, value_set: &str, code: Coded<'_>) -> Membership {
        let wanted = Canonical::of(value_set);
        if !self.has_value_sets(wanted.url) {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if !asked.contains(value_set) {
                asked.insert(value_set.to_owned());
            }
        }
        match self.value_set(wanted) {
            Some(found) => membership::of(self, &found, code),
            None => Membership::Unknown,
        }
    }
}
