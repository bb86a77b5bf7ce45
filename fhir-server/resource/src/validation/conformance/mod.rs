//! Does a resource keep the rules beyond its structure: invariants, bindings, and profiles?
//!
//! A [`Checker`] walks the resource once by the rules of its built-in types, and once more by those of each profile that
//! it claims or is asked for. Slices and nested profiles are tried by checkers of their own.

mod base;
mod bounds;
mod built_in;
mod coding;
mod constraints;
mod library;
mod members;
mod profile;
mod profiles;
mod rule;
mod slicing;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_definitions::Definitions;

use super::location::Location;
use super::terminology::Terminology;
use super::{Issue, MOST_ISSUES, Severity};
use crate::Micros;
use crate::document::{Document, Node};
use crate::path::{Budget, Entries, Item};

pub use library::Library;
pub use profile::{Profile, ProfileError, needs};

/// Profiles within profiles within profiles.
const DEEPEST: usize = 12;
const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Knows stored profiles. Like [`Terminology`] it answers at once; what it doesn't know is named in [`Lacking`].
pub trait Profiles {
    /// The profile with a canonical URL, which may end with `|version`.
    fn profile(&self, url: &str) -> Option<Arc<Profile>>;
}

/// Knows no profile.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProfiles;

impl Profiles for NoProfiles {
    fn profile(&self, _url: &str) -> Option<Arc<Profile>> {
        None
    }
}

/// What was asked for and isn't known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lacking {
    /// A profile, or the definition of an extension.
    Profile(String),
    /// A value set.
    ValueSet(String),
}

/// What is known beside the resource.
pub struct Knowledge<'k> {
    /// The FHIR version's.
    pub definitions: &'static Definitions,
    /// Compiled rules of built-in types.
    pub library: &'k Library,
    /// Stored profiles.
    pub profiles: &'k dyn Profiles,
    /// Value sets.
    pub terminology: &'k dyn Terminology,
    /// What `now()` is.
    pub now: Micros,
}

/// What the rules say of a resource.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong, in the order in which it was found: built-in rules in document order, then profile by profile.
    pub issues: Vec<Issue>,
    /// What wasn't known.
    pub lacking: BTreeSet<Lacking>,
}

/// Steps that all rules of one resource may take together: a base, and some for each byte.
const STEPS: usize = 2_000_000;
const STEPS_PER_BYTE: usize = 200;

/// Checks the rules of built-in types, those of the profiles that the resource claims, and those of `asked`.
pub fn findings(knowledge: &Knowledge<'_>, document: &Document, asked: &[String]) -> Findings {
    let root = document.root();
    let Some(item) = resource_item(knowledge.definitions, root) else {
        return Findings::default();
    };
    let bytes = document.text().len();
    let budget = Budget::of(STEPS.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE)));
    let bundle = Entries::of(document);
    let shared = Shared {
        knowledge,
        budget: &budget,
        bundle: bundle.as_ref(),
    };
    let mut checker = Checker {
        shared: &shared,
        findings: Findings::default(),
        location: Location::default(),
        resource: item,
        root: item,
        depth: 0,
    };
    checker.within(item.structure.name(), None, |checker| {
        checker.resource(item);
        for url in asked {
            checker.asked(item, url);
        }
    });
    checker.findings
}

fn resource_item<'a>(definitions: &'static Definitions, node: Node<'a>) -> Option<Item<'a>> {
    let name = node.text_of("resourceType")?;
    Some(Item {
        value: Some(node),
        extra: None,
        structure: definitions.structure(&name)?,
    })
}

/// What all checkers of one resource have in common.
struct Shared<'s, 'a> {
    knowledge: &'s Knowledge<'s>,
    budget: &'s Budget,
    bundle: Option<&'s Entries<'a>>,
}

struct Checker<'s, 'a> {
    shared: &'s Shared<'s, 'a>,
    findings: Findings,
    location: Location,
    /// What `%resource` is.
    resource: Item<'a>,
    /// What `%rootResource` is.
    root: Item<'a>,
    /// How many profiles led here.
    depth: usize,
}

impl<'s, 'a> Checker<'s, 'a> {
    fn issue(&mut self, severity: Severity, code: &'static str, diagnostics: String) {
        let issues = &mut self.findings.issues;
        if issues.len() >= MOST_ISSUES {
            return;
        }
        let expression = self.location.to_string();
        let known = issues
            .iter()
            .any(|known| known.expression == expression && known.diagnostics == diagnostics);
        if !known {
            issues.push(Issue {
                severity,
                code,
                diagnostics,
                expression,
                tolerated: false,
            });
        }
    }

    fn error(&mut self, code: &'static str, diagnostics: String) {
        self.issue(Severity::Error, code, diagnostics);
    }

    fn within(&mut self, name: &str, index: Option<usize>, check: impl FnOnce(&mut Self)) {
        self.location.push(name, index);
        check(self);
        self.location.pop();
    }

    /// A checker for a trial, whose issues don't count by themselves.
    fn trial(&self) -> Checker<'s, 'a> {
        Checker {
            shared: self.shared,
            findings: Findings::default(),
            location: self.location.clone(),
            resource: self.resource,
            root: self.root,
            depth: self.depth + 1,
        }
    }

    /// Runs a trial; the issues that it found.
    fn tried(&mut self, check: impl FnOnce(&mut Self)) -> Vec<Issue> {
        let mut trial = self.trial();
        if trial.depth <= DEEPEST {
            check(&mut trial);
        }
        self.findings.lacking.append(&mut trial.findings.lacking);
        trial.findings.issues
    }
}

fn has_errors(issues: &[Issue]) -> bool {
    issues.iter().any(|issue| issue.severity == Severity::Error)
}
