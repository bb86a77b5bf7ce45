//! The rules of built-in types, compiled when they are first asked for and kept up to a limit of bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fhir_definitions::{Definitions, Structure};

use super::base;
use super::rule::Rule;

/// Bytes of compiled rules that are kept: all types of a version take less than half of it.
const MOST_BYTES: usize = 8 << 20;

/// Compiled rules.
#[derive(Debug)]
pub struct Library {
    most: usize,
    kept: Mutex<Kept>,
}

impl Default for Library {
    fn default() -> Self {
        Self::within(MOST_BYTES)
    }
}

#[derive(Debug, Default)]
struct Kept {
    rules: HashMap<Structure, Arc<Rule>>,
    bytes: usize,
}

impl Library {
    /// Keeps at most about `most` bytes.
    pub fn within(most: usize) -> Self {
        Library {
            most,
            kept: Mutex::default(),
        }
    }

    /// What holds for values of a built-in type.
    pub fn rule(&self, structure: Structure) -> Arc<Rule> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = kept.rules.get(&structure) {
            return Arc::clone(rule);
        }
        let definitions = Definitions::of(structure.version());
        // The invariants are part of the program: if they can't be read, a test of the definitions fails.
        let invariants = definitions.invariants().unwrap_or_default();
        let rule = Arc::new(base::rule(structure, &invariants));
        let size = rule.size();
        if kept.bytes + size > self.most {
            *kept = Kept::default();
        }
        if size <= self.most {
            kept.bytes += size;
            kept.rules.insert(structure, Arc::clone(&rule));
        }
        rule
    }

    /// About how many bytes are kept.
    pub fn bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}
