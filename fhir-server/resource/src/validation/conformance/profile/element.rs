//! What a single `ElementDefinition` says → the rule of its element.

use fhir_definitions::{Definitions, Strength};

use super::ProfileError;
use crate::document::{Document, Limits, Node};
use crate::path::Expression;
use crate::validation::conformance::CORE;
use crate::validation::conformance::bounds::{self, End};
use crate::validation::conformance::rule::{
    BindingRule, Constraint, Discriminator, DiscriminatorKind, Rule, Slicing, TypeRule,
};

/// Lays what an `ElementDefinition` says over a rule.
pub fn lay(rule: &mut Rule, element: Node<'_>, definitions: &'static Definitions) -> Result<(), ProfileError> {
    if let Some(id) = element.text_of("id").or_else(|| element.text_of("path")) {
        rule.id = id.into_owned();
    }
    let number = |name: &str| element.get(name).and_then(|node| node.raw().parse().ok());
    if let Some(min) = number("min") {
        rule.min = min;
    }
    if let Some(max) = element.text_of("max") {
        rule.max = max.parse().ok();
    }
    rule.max_length = number("maxLength").map(|length| length as usize).or(rule.max_length);
    let types: Vec<TypeRule> = types(element);
    if !types.is_empty() {
        rule.types = types;
    }
    for (name, value) in element.entries() {
        let is = |prefix: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|of| of.starts_with(|first: char| first.is_ascii_uppercase()))
        };
        let ends = [("minValue", End::Least), ("maxValue", End::Greatest)];
        for (prefix, end) in ends.into_iter().filter(|(prefix, _)| is(prefix)) {
            let of = name.strip_prefix(prefix).unwrap_or_default();
            rule.bounds.extend(bounds::read(end, of, value));
        }
        if is("fixed") {
            rule.fixed = copied(value);
        } else if is("pattern") {
            rule.pattern = copied(value);
        }
    }
    if let Some(binding) = element.get("binding") {
        rule.binding = bound(binding).or(rule.binding.take());
    }
    if let Some(slicing) = element.get("slicing") {
        rule.slicing = Some(sliced(slicing)?);
    }
    for constraint in element.get("constraint").into_iter().flat_map(Node::each) {
        add(rule, constraint, definitions)?;
    }
    Ok(())
}

/// Types, each once: STU3 repeats a type for each of its targets.
fn types(element: Node<'_>) -> Vec<TypeRule> {
    let mut types: Vec<TypeRule> = Vec::new();
    for of in element.get("type").into_iter().flat_map(Node::each) {
        let Some(code) = of.text_of("code") else { continue };
        let at = types.iter().position(|known| known.code == code);
        let at = at.unwrap_or_else(|| {
            types.push(TypeRule {
                code: code.into_owned(),
                ..TypeRule::default()
            });
            types.len() - 1
        });
        let urls = |name: &str| {
            let list = of.get(name).into_iter().flat_map(Node::each);
            list.filter_map(|url| Some(url.as_str()?.into_owned()))
                .collect::<Vec<_>>()
        };
        types[at].profiles.extend(urls("profile"));
        types[at].targets.extend(urls("targetProfile"));
    }
    types
}

fn copied(value: Node<'_>) -> Option<Document> {
    Document::parse(value.raw().as_bytes().to_vec(), Limits::default()).ok()
}

fn bound(binding: Node<'_>) -> Option<BindingRule> {
    let strength = match binding.text_of("strength")?.as_ref() {
        "required" => Strength::Required,
        "extensible" => Strength::Extensible,
        _ => return None,
    };
    // STU3: a URI, or a reference to the value set.
    let value_set = binding
        .text_of("valueSet")
        .or_else(|| binding.text_of("valueSetUri"))
        .or_else(|| binding.get("valueSetReference")?.text_of("reference"))?;
    Some(BindingRule {
        value_set: value_set.into_owned(),
        strength,
    })
}

fn parsed(text: &str) -> Result<Expression, ProfileError> {
    Expression::parse(text).map_err(|reason| ProfileError::Expression {
        expression: text.chars().take(200).collect(),
        reason,
    })
}

fn sliced(slicing: Node<'_>) -> Result<Slicing, ProfileError> {
    let mut discriminators = Vec::new();
    for discriminator in slicing.get("discriminator").into_iter().flat_map(Node::each) {
        let path = discriminator.text_of("path").unwrap_or_default();
        discriminators.push(Discriminator {
            kind: match discriminator.text_of("type").as_deref() {
                Some("exists") => DiscriminatorKind::Exists,
                Some("type") => DiscriminatorKind::Type,
                Some("profile") => DiscriminatorKind::Profile,
                // `pattern` says the same as `value`.
                _ => DiscriminatorKind::Value,
            },
            expression: parsed(&path)?,
            path: path.into_owned(),
        });
    }
    let rules = slicing.text_of("rules");
    Ok(Slicing {
        discriminators,
        closed: rules.as_deref() == Some("closed"),
        ordered: slicing.get("ordered").and_then(Node::as_bool) == Some(true),
        open_at_end: rules.as_deref() == Some("openAtEnd"),
    })
}

fn add(rule: &mut Rule, constraint: Node<'_>, definitions: &'static Definitions) -> Result<(), ProfileError> {
    let (Some(key), Some(text)) = (constraint.text_of("key"), constraint.text_of("expression")) else {
        return Ok(());
    };
    // Snapshots repeat the rules of built-in types, which are checked anyway.
    let inherited = constraint.text_of("source").is_some_and(|source| {
        let name = source.strip_prefix(CORE).unwrap_or(&source);
        definitions.structure(name).is_some()
    });
    let general = ["ele-", "ext-", "dom-"].iter().any(|prefix| key.starts_with(prefix));
    if inherited || general || rule.constraints.iter().any(|known| known.key == key) {
        return Ok(());
    }
    rule.constraints.push(Constraint {
        key: key.into_owned(),
        error: constraint.text_of("severity").as_deref() != Some("warning"),
        human: constraint.text_of("human").unwrap_or_default().into_owned(),
        expression: parsed(&text)?,
    });
    Ok(())
}
