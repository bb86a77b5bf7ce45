//! Built-in types → rules: the invariants of the specification and the bindings of the tables. What else a built-in type
//! says is checked with its structure.

use fhir_definitions::{Element, Invariant, Strength, Structure};

use super::rule::{BindingRule, Constraint, Rule};
use crate::path::Expression;

/// Rules that are left out. `ele-1` and `txt-1` are checked with the structure, which says more; `dom-6` (a resource should
/// have a narrative) is marked as best practice, which Microsoft's server ignores.
const LEFT_OUT: [&str; 3] = ["ele-1", "dom-6", "txt-1"];

/// Rules whose expressions don't say what they say in words, with expressions that do.
const CORRECTED: [(&str, &str); 2] = [
    // FHIRPath's own `Boolean` is no element's type.
    ("que-7", "operator = 'exists' implies (answer is boolean)"),
    // Text outside of tags, or an image.
    ("txt-2", "matches('>\\\\s*[^<\\\\s]|<img')"),
];

/// What holds for values of the type `structure`, by its elements.
pub fn rule(structure: Structure, invariants: &[Invariant]) -> Rule {
    let definitions = structure.version().definitions();
    let mut rule = Rule {
        id: structure.name().to_owned(),
        ..Rule::default()
    };
    for slot in 0..structure.slot_count() {
        let (name, ..) = structure.slot(slot);
        let element = structure.elements_named(name).next();
        let binding = element.and_then(Element::binding);
        // What is preferred or an example is never complained about.
        let binding = binding.filter(|binding| matches!(binding.strength(), Strength::Required | Strength::Extensible));
        if let Some(binding) = binding {
            rule.child_mut(name).binding = Some(BindingRule {
                value_set: binding.value_set().to_owned(),
                strength: binding.strength(),
            });
        }
    }
    for owner in std::iter::successors(Some(structure), |owner| owner.base()) {
        for invariant in invariants {
            let target = match invariant.path.strip_prefix(owner.name()) {
                Some("") => &mut rule,
                Some(below) => match below.strip_prefix('.') {
                    Some(name) if !name.contains('.') && definitions.structure(&invariant.path).is_none() => {
                        rule.child_mut(name.trim_end_matches("[x]"))
                    }
                    _ => continue,
                },
                None => continue,
            };
            add(target, invariant);
        }
    }
    for (name, child) in &mut rule.children {
        child.id = format!("{}.{name}", structure.name());
    }
    rule
}

fn add(rule: &mut Rule, invariant: &Invariant) {
    let known = rule.constraints.iter().any(|known| known.key == invariant.key);
    if known || LEFT_OUT.contains(&invariant.key.as_str()) {
        return;
    }
    let corrected = CORRECTED.iter().find(|(key, _)| *key == invariant.key);
    // One of STU3's was published with broken quotes: nobody can check it.
    let text = corrected.map_or(invariant.expression.as_str(), |(_, corrected)| corrected);
    let Ok(expression) = Expression::parse(text) else {
        return;
    };
    rule.constraints.push(Constraint {
        key: invariant.key.clone(),
        error: invariant.error,
        human: invariant.human.clone(),
        expression,
    });
}
