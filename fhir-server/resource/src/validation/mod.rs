//! Is this a resource of its FHIR version? Structure, cardinality, choices, formats of primitive values, codes of required
//! bindings, narrative. Messages that Microsoft's server has are kept word by word.
//!
//! Beyond it lie invariants, profiles and terminology, which a write doesn't ask for (`$validate` does).

mod conformance;
mod location;
mod narrative;
mod primitive;
mod structure;
mod terminology;

use fhir_definitions::Definitions;

pub(crate) use self::narrative::VOID as HTML_VOID;

use crate::document::Node;

pub use conformance::{
    Findings, Knowledge, Lacking, Library, NoProfiles, Profile, ProfileError, Profiles, findings, needs,
};
pub use terminology::{Coded, Membership, NoTerminology, Terminology};

/// The most issues that are collected: a hostile resource can't fill memory with complaints.
const MOST_ISSUES: usize = 100;

/// How bad an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The resource is refused.
    Error,
    /// The resource is accepted.
    Warning,
}

impl Severity {
    /// The code of the value set issue-severity.
    pub fn code(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// What is wrong with an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// The code of the value set issue-type: `structure`, `required`, `value`, `code-invalid`, `not-supported`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub diagnostics: String,
    /// Where, as FHIRPath: `Patient.name[0].family`.
    pub expression: String,
    /// Whether a write accepts it all the same: Microsoft's server stores resources that lack mandatory elements below the
    /// top level (so do examples of HL7), and `$validate` tells of them.
    pub tolerated: bool,
}

/// Everything that is wrong with `resource`; nothing means that it is fine. The first hundred issues are given.
///
/// References to types that an element doesn't allow are warnings: Microsoft's server stores them.
pub fn validate(definitions: &'static Definitions, resource: Node<'_>) -> Vec<Issue> {
    let mut validator = structure::Validator::new(definitions);
    validator.resource(resource);
    validator.into_issues()
}

/// Whether `value` is a `type_name`, one of the primitive types.
pub fn is_primitive(type_name: &str, value: Node<'_>) -> bool {
    primitive::check(type_name, value).is_ok()
}

/// Whether an XHTML text is a narrative that FHIR allows.
pub(crate) fn is_safe_narrative(text: &str) -> bool {
    narrative::problems(text).is_empty()
}

/// Whether `issues` refuse a write of the resource.
pub fn refuses(issues: &[Issue]) -> bool {
    issues
        .iter()
        .any(|issue| issue.severity == Severity::Error && !issue.tolerated)
}
