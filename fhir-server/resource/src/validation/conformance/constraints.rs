//! Rules in FHIRPath: invariants of built-in types and constraints of profiles.

use fhir_definitions::Structure;

use super::rule::Constraint;
use super::{Checker, DEEPEST, Findings, Shared, has_errors};
use crate::document::Node;
use crate::path::{Fault, Item, Rigour, World};
use crate::validation::Severity;
use crate::validation::location::Location;

impl<'s, 'a> Checker<'s, 'a> {
    /// What expressions see; `conformsTo()` knows the types of the FHIR version only.
    pub fn world(&self) -> World<'s, 'a> {
        let knowledge = self.shared.knowledge;
        World {
            definitions: knowledge.definitions,
            now: knowledge.now,
            resource: self.resource,
            root: self.root,
            bundle: self.shared.bundle,
            terminology: knowledge.terminology,
            conforms: None,
            budget: self.shared.budget,
            rigour: Rigour::Lenient,
        }
    }

    pub fn constraints(&mut self, constraints: &[Constraint], item: Item<'a>) {
        for constraint in constraints {
            self.constraint(constraint, item);
        }
    }

    pub fn constraint(&mut self, constraint: &Constraint, item: Item<'a>) {
        let conforms = |node: Node<'_>, structure: Structure, url: &str| self.conforms(node, structure, url);
        let world = World {
            conforms: Some(&conforms),
            ..self.world()
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
    pub fn conforms(&self, node: Node<'_>, structure: Structure, url: &str) -> Option<bool> {
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
}

/// Microsoft's text for a constraint that doesn't hold.
pub fn failed(key: &str, human: &str) -> String {
    format!("Instance failed constraint {key} \"{human}\"")
}
