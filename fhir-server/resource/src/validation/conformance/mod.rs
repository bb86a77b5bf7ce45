//! Does a resource keep the rules beyond its structure: invariants, bindings, and profiles?
//!
//! A [`Checker`] walks the resource once by the rules of its built-in types, and once more by those of each profile that
//! it claims or is asked for. Slices and nested profiles are tried by checkers of their own.

mod base;
mod coding;
mod library;
mod members;
mod profile;
mod rule;
mod slicing;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_definitions::{Definitions, FhirVersion, Structure, StructureKind};

use self::members::{Member, members};
use self::rule::{Constraint, Rule};
use super::location::Location;
use super::terminology::Terminology;
use super::{Issue, MOST_ISSUES, Severity};
use crate::Micros;
use crate::document::{Document, Node};
use crate::path::{Budget, Entries, Fault, Item, Rigour, World};

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

    /// A resource: its built-in rules, and the profiles that it claims.
    fn resource(&mut self, item: Item<'a>) {
        self.value(item);
        let claimed = item.value.and_then(|node| node.get("meta")?.get("profile"));
        for url in claimed.into_iter().flat_map(Node::each) {
            if let Some(url) = url.as_str() {
                self.claimed(item, &url);
            }
        }
    }

    /// A value and all that is in it, by the rules of built-in types.
    fn value(&mut self, item: Item<'a>) {
        if self.shared.budget.left() == 0 || self.findings.issues.len() >= MOST_ISSUES {
            return;
        }
        let rule = self.shared.knowledge.library.rule(item.structure);
        self.constraints(&rule.constraints, item);
        let primitive = item.structure.kind() == StructureKind::Primitive;
        let Some(object) = (if primitive { item.extra } else { item.value }) else {
            return;
        };
        if !primitive && item.structure.kind() != StructureKind::Resource && only_id(object) {
            self.error(
                "invariant",
                failed("ele-1", "All FHIR elements must have a @value or children"),
            );
        }
        if item.structure.name() == "Extension"
            && let Some(url) = object.text_of("url")
        {
            self.extension(item, &url);
        }
        for (name, _) in object.entries() {
            let bare = name.strip_prefix('_');
            let Some(element) = item.structure.element(bare.unwrap_or(&name)) else {
                continue;
            };
            // `_name` was seen with `name`.
            if bare.is_some() && object.get(element.name()).is_some() {
                continue;
            }
            let child = rule.child(element.base_name());
            for member in members::of_element(object, element) {
                self.within(member.name, member.index, |checker| checker.member(child, member.item));
            }
        }
    }

    fn member(&mut self, rule: Option<&Rule>, item: Item<'a>) {
        if let Some(rule) = rule {
            if let Some(binding) = &rule.binding {
                self.bound(binding, item, coding::Origin::BuiltIn);
            }
            self.constraints(&rule.constraints, item);
        }
        if item.structure.kind() == StructureKind::Resource {
            self.inner(item);
        } else if item.structure.kind() != StructureKind::Primitive || item.extra.is_some() {
            self.value(item);
        }
    }

    /// A contained resource, or one in a bundle.
    fn inner(&mut self, item: Item<'a>) {
        let contained = self
            .location
            .to_string()
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with("contained"));
        let outer = (self.resource, self.root);
        if !contained {
            self.root = item;
        }
        // In STU3 `%resource` is the outermost resource; `%rootResource` came later.
        let stu3 = self.shared.knowledge.definitions.version() == FhirVersion::Stu3;
        self.resource = if contained && stu3 { self.root } else { item };
        self.resource(item);
        (self.resource, self.root) = outer;
    }

    fn constraints(&mut self, constraints: &[Constraint], item: Item<'a>) {
        for constraint in constraints {
            self.constraint(constraint, item);
        }
    }

    fn constraint(&mut self, constraint: &Constraint, item: Item<'a>) {
        let knowledge = self.shared.knowledge;
        let conforms = |node: Node<'_>, structure: Structure, url: &str| self.conforms(node, structure, url);
        let world = World {
            definitions: knowledge.definitions,
            now: knowledge.now,
            resource: self.resource,
            root: self.root,
            bundle: self.shared.bundle,
            terminology: knowledge.terminology,
            conforms: Some(&conforms),
            budget: self.shared.budget,
            rigour: Rigour::Lenient,
        };
        // An empty result holds, as it does for Microsoft's server: what isn't known isn't wrong.
        let result = constraint.expression.holds(&world, item);
        let key = &constraint.key;
        match result {
            Ok(Some(true) | None) => {}
            Ok(Some(false)) => {
                let severity = if constraint.error {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                self.issue(severity, "invariant", failed(key, &constraint.human));
            }
            Err(Fault::TooManySteps) => {
                let text = format!("The constraint {key} takes too many steps for this resource and wasn't checked.");
                self.issue(Severity::Warning, "too-costly", text);
            }
            Err(Fault::Meaning(reason)) => {
                let text = format!("The constraint {key} can't be evaluated here: {reason}.");
                self.issue(Severity::Warning, "processing", text);
            }
        }
    }

    /// What `conformsTo()` asks.
    fn conforms(&self, node: Node<'_>, structure: Structure, url: &str) -> Option<bool> {
        let profile = self.shared.knowledge.profiles.profile(url)?;
        if self.depth >= DEEPEST {
            return None;
        }
        let item = Item {
            value: Some(node),
            extra: None,
            structure,
        };
        let shared = Shared {
            knowledge: self.shared.knowledge,
            budget: self.shared.budget,
            bundle: None,
        };
        let mut checker = Checker {
            shared: &shared,
            findings: Findings::default(),
            location: Location::default(),
            resource: item,
            root: item,
            depth: self.depth + 1,
        };
        checker.profile(&profile, item);
        Some(!has_errors(&checker.findings.issues))
    }

    /// A profile that the caller names.
    fn asked(&mut self, item: Item<'a>, url: &str) {
        if !self.by_url(item, url) {
            let text = format!("Unable to resolve reference to profile '{url}'");
            self.error("not-found", text);
        }
    }

    /// A profile that the resource claims.
    fn claimed(&mut self, item: Item<'a>, url: &str) {
        if !self.by_url(item, url) {
            let text = format!("Unable to resolve reference to profile '{url}'");
            self.within("meta", None, |checker| {
                checker.within("profile", None, |checker| {
                    checker.issue(Severity::Warning, "not-found", text);
                });
            });
        }
    }

    /// Checks an extension by its definition, where that is stored.
    fn extension(&mut self, item: Item<'a>, url: &str) {
        match self.shared.knowledge.profiles.profile(url) {
            Some(profile) => self.profile(&profile, item),
            None => {
                self.findings.lacking.insert(Lacking::Profile(url.to_owned()));
            }
        }
    }

    /// Checks `item` by a profile; `false` if nobody knows it.
    fn by_url(&mut self, item: Item<'a>, url: &str) -> bool {
        if let Some(profile) = self.shared.knowledge.profiles.profile(url) {
            self.profile(&profile, item);
            return true;
        }
        let name = url.split('|').next().and_then(|url| url.strip_prefix(CORE));
        if let Some(structure) = name.and_then(|name| self.shared.knowledge.definitions.structure(name)) {
            if !item.structure.is_a(structure.name()) {
                self.wrong_type(item, url, structure);
            }
            return true;
        }
        self.findings.lacking.insert(Lacking::Profile(url.to_owned()));
        false
    }

    fn wrong_type(&mut self, item: Item<'a>, url: &str, wanted: Structure) {
        let text = format!(
            "The profile '{url}' is for the type '{}', not for '{}'.",
            wanted.name(),
            item.structure.name()
        );
        self.error("structure", text);
    }

    fn profile(&mut self, profile: &Profile, item: Item<'a>) {
        if self.depth > DEEPEST {
            return;
        }
        if !item.structure.is_a(profile.of.name()) {
            return self.wrong_type(item, &profile.url, profile.of);
        }
        self.depth += 1;
        self.conform(&profile.rule, item);
        self.depth -= 1;
    }

    /// One value and what is in it, by the rules of a profile.
    fn conform(&mut self, rule: &Rule, item: Item<'a>) {
        if self.shared.budget.left() == 0 || self.findings.issues.len() >= MOST_ISSUES {
            return;
        }
        self.value_rules(rule, item);
        for (name, child) in &rule.children {
            let found = members(item, name);
            self.group(name, child, &found);
        }
    }

    /// All values of an element.
    fn group(&mut self, name: &str, rule: &Rule, found: &[Member<'a>]) {
        self.count(name, rule, found.len());
        for member in found {
            self.within(member.name, member.index, |checker| checker.conform(rule, member.item));
        }
        if let Some(slicing) = &rule.slicing {
            self.slices(name, rule, slicing, found);
        }
    }

    fn count(&mut self, name: &str, rule: &Rule, count: usize) {
        let too_few = count < rule.min as usize;
        let too_many = rule.max.is_some_and(|max| count > max as usize);
        if too_few || too_many {
            let max = rule.max.map_or_else(|| "*".to_owned(), |max| max.to_string());
            let text = format!(
                "Instance count for '{}' is {count}, which is not within the specified cardinality of {}..{max}",
                rule.id, rule.min
            );
            let code = if too_few { "required" } else { "structure" };
            self.within(name, None, |checker| checker.error(code, text));
        }
    }
}

/// Microsoft's text for a constraint that doesn't hold.
fn failed(key: &str, human: &str) -> String {
    format!("Instance failed constraint {key} \"{human}\"")
}

fn has_errors(issues: &[Issue]) -> bool {
    issues.iter().any(|issue| issue.severity == Severity::Error)
}

/// Whether an element has an id and nothing else.
fn only_id(object: Node<'_>) -> bool {
    let mut entries = object.entries();
    matches!((entries.next(), entries.next()), (Some((name, _)), None) if name == "id")
}
