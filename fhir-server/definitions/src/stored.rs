//! Search parameters that aren't FHIR's: those that users store on a server, and those of the service itself.
//!
//! Each distinct definition that was ever in force is kept as long as the process runs, so that a handle is as small and
//! as long-lived as one of a base parameter. A definition takes a kilobyte, and only a change by an administrator makes
//! a new one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::parameter::ParamKind;

/// A definition for one base type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredParameter {
    /// The number that stands for this definition, and for no other.
    pub number: u32,
    /// Canonical URL.
    pub url: String,
    /// What a query calls it.
    pub code: String,
    /// Its type.
    pub kind: ParamKind,
    /// The type that it belongs to: `Patient`, or `Resource` or `DomainResource`.
    pub base: String,
    /// FHIRPath of what is indexed.
    pub expression: String,
    /// The types that a reference may point to; empty: any.
    pub targets: Vec<String>,
    /// The parts of a composite.
    pub components: Vec<StoredComponent>,
}

/// One part of a composite.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredComponent {
    /// URL of the parameter that defines its type.
    pub definition: String,
    /// FHIRPath from an element that the composite's expression gives.
    pub expression: String,
}

pub(crate) fn keep(definition: StoredParameter) -> &'static StoredParameter {
    static KEPT: Mutex<BTreeSet<&'static StoredParameter>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(&definition) {
        return known;
    }
    let definition: &'static StoredParameter = Box::leak(Box::new(definition));
    kept.insert(definition);
    definition
}
