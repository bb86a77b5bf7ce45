//! Bindings: are the codes of an element in its value set?

use std::borrow::Cow;

use fhir_definitions::{Strength, StructureKind};

use super::rule::BindingRule;
use super::{Checker, Lacking};
use crate::document::Node;
use crate::path::Item;
use crate::validation::{Coded, Membership, Severity};

/// Whose binding it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A built-in type's.
    BuiltIn,
    /// A stored profile's.
    Profile,
}

/// A code in a resource.
struct Code<'a> {
    system: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    text: Cow<'a, str>,
}

impl Code<'_> {
    fn coded(&self) -> Coded<'_> {
        Coded {
            system: self.system.as_deref(),
            version: self.version.as_deref(),
            code: &self.text,
        }
    }

    fn shown(&self) -> String {
        let code: String = self.text.chars().take(64).collect();
        match &self.system {
            Some(system) => format!("Code '{code}' from system '{system}'"),
            None => format!("Code '{code}'"),
        }
    }
}

/// The codes of a value; `None` for a value that can't have any.
fn codes<'a>(item: &Item<'a>) -> Option<Vec<Code<'a>>> {
    let node = item.value?;
    let of = |coding: Node<'a>| {
        Some(Code {
            system: coding.text_of("system"),
            version: coding.text_of("version"),
            text: coding.text_of("code")?,
        })
    };
    if item.structure.kind() == StructureKind::Primitive {
        let text = node.as_str()?;
        return Some(vec![Code {
            system: None,
            version: None,
            text,
        }]);
    }
    if item.structure.name() == "CodeableConcept" {
        let codings = node.get("coding").into_iter().flat_map(Node::each);
        return Some(codings.filter_map(of).collect());
    }
    let single = item.structure.name() == "Coding" || item.structure.is_a("Quantity");
    single.then(|| of(node).into_iter().collect())
}

impl<'a> Checker<'_, 'a> {
    /// Checks the codes of `item`.
    pub fn bound(&mut self, binding: &BindingRule, item: Item<'a>, origin: Origin) {
        // Required codes of built-in types are checked with the structure.
        let primitive = item.structure.kind() == StructureKind::Primitive;
        if primitive && origin == Origin::BuiltIn && binding.strength == Strength::Required {
            return;
        }
        let Some(codes) = codes(&item) else { return };
        let severity = match binding.strength {
            Strength::Required => Severity::Error,
            _ => Severity::Warning,
        };
        let set = &binding.value_set;
        if codes.is_empty() {
            // A text without a code is what extensible bindings allow.
            if severity == Severity::Error && item.structure.name() == "CodeableConcept" {
                let text = format!("No code is given, and the binding to the value set '{set}' is required.");
                self.issue(severity, "code-invalid", text);
            }
            return;
        }
        let mut unknown = false;
        for code in &codes {
            match self.shared.knowledge.terminology.member(set, code.coded()) {
                Membership::Yes => return,
                Membership::No => {}
                Membership::Unknown => unknown = true,
            }
        }
        if unknown {
            self.findings.lacking.insert(Lacking::ValueSet(set.clone()));
            if severity == Severity::Error && origin == Origin::Profile {
                let text = format!("The value set '{set}' can't be expanded here, so that its codes were not checked.");
                self.issue(Severity::Warning, "not-found", text);
            }
            return;
        }
        let shown: Vec<String> = codes.iter().take(3).map(Code::shown).collect();
        let text = format!("{} does not exist in the value set '{set}'", shown.join(", "));
        self.issue(severity, "code-invalid", text);
    }

    /// Whether a code of `item` is in the value set; `None` if nobody knows.
    pub fn is_bound(&self, binding: &BindingRule, item: &Item<'a>) -> Option<bool> {
        let mut all = Some(false);
        for code in codes(item)? {
            match self
                .shared
                .knowledge
                .terminology
                .member(&binding.value_set, code.coded())
            {
                Membership::Yes => return Some(true),
                Membership::No => {}
                Membership::Unknown => all = None,
            }
        }
        all
    }
}
