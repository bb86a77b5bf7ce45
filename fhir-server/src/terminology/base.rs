//! Value sets and code systems of the base specification, read when they are asked for.

use std::sync::Arc;

use fhir_definitions::{Definitions, TerminologyKind};
use fhir_resource::{Document, Limits};

use super::canonical::Canonical;
use super::code_system::CodeSystem;
use super::kept::Kept;
use super::value_set::ValueSet;

/// The most bytes of base content that stay read, of each kind.
const MOST_BYTES: usize = 4 << 20;

/// The base content of one FHIR version.
pub struct Base {
    definitions: &'static Definitions,
    value_sets: Kept<String, ValueSet>,
    code_systems: Kept<String, CodeSystem>,
}

impl Base {
    /// Nothing is read yet.
    pub fn new(definitions: &'static Definitions) -> Self {
        Self {
            definitions,
            value_sets: Kept::within(MOST_BYTES),
            code_systems: Kept::within(MOST_BYTES),
        }
    }

    /// A value set.
    pub fn value_set(&self, wanted: Canonical<'_>) -> Option<Arc<ValueSet>> {
        let key = wanted.url.to_owned();
        let found = self.value_sets.get(&key).or_else(|| {
            let read = Arc::new(ValueSet::of(self.document(TerminologyKind::ValueSet, wanted.url)?));
            self.value_sets.put(key, Arc::clone(&read), read.weight());
            Some(read)
        })?;
        is_wanted(wanted, found.version.as_deref()).then_some(found)
    }

    /// A code system.
    pub fn code_system(&self, wanted: Canonical<'_>) -> Option<Arc<CodeSystem>> {
        let key = wanted.url.to_owned();
        let found = self.code_systems.get(&key).or_else(|| {
            let read = Arc::new(CodeSystem::of(self.document(TerminologyKind::CodeSystem, wanted.url)?));
            self.code_systems.put(key, Arc::clone(&read), read.weight());
            Some(read)
        })?;
        is_wanted(wanted, found.version.as_deref()).then_some(found)
    }

    fn document(&self, kind: TerminologyKind, url: &str) -> Option<Document> {
        match self.definitions.terminology(kind, url) {
            Ok(found) => Document::parse(found?.json.as_bytes(), Limits::default()).ok(),
            Err(error) => {
                tracing::error!(error = %daemon::process::describe(&error), url, "base terminology can't be read");
                None
            }
        }
    }
}

fn is_wanted(wanted: Canonical<'_>, version: Option<&str>) -> bool {
    wanted.version.is_none() || wanted.version == version
}
