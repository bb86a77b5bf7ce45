//! What a profile says of single values: types, fixed values and patterns, lengths, bindings, constraints.

use super::coding::Origin;
use super::rule::{Rule, TypeRule};
use super::{CORE, Checker, has_errors};
use crate::document::{Kind, Node};
use crate::path::{Item, Value};
use crate::reference;
use crate::validation::Issue;

/// Whether `value` equals `wanted`, numbers by value.
pub fn equals(value: Node<'_>, wanted: Node<'_>) -> bool {
    value.same(wanted) || (value.kind() == Kind::Number && wanted.kind() == Kind::Number && same_number(value, wanted))
}

fn same_number(left: Node<'_>, right: Node<'_>) -> bool {
    let number = |node: Node<'_>| crate::path::read_number(node.raw());
    number(left)
        .zip(number(right))
        .is_some_and(|(left, right)| left == right)
}

/// Whether `value` has all that `pattern` has: members by name, items of lists in any order.
pub fn matches(value: Node<'_>, pattern: Node<'_>) -> bool {
    match (value.kind(), pattern.kind()) {
        (Kind::Object, Kind::Object) => pattern
            .entries()
            .all(|(name, wanted)| value.get(&name).is_some_and(|value| matches(value, wanted))),
        (Kind::Array, Kind::Array) => pattern
            .items()
            .all(|wanted| value.items().any(|value| matches(value, wanted))),
        _ => equals(value, pattern),
    }
}

fn shown(node: Node<'_>) -> String {
    node.raw().chars().take(120).collect()
}

impl<'a> Checker<'_, 'a> {
    /// Checks one value by itself.
    pub fn value_rules(&mut self, rule: &Rule, item: Item<'a>) {
        if !rule.types.is_empty() {
            self.types(&rule.types, item);
        }
        if let Some(value) = item.value {
            if let Some(fixed) = &rule.fixed
                && !equals(value, fixed.root())
            {
                let text = format!(
                    "Value '{}' is not exactly equal to fixed value '{}'",
                    shown(value),
                    shown(fixed.root())
                );
                self.error("value", text);
            }
            if let Some(pattern) = &rule.pattern
                && !matches(value, pattern.root())
            {
                let text = format!("Value does not match pattern '{}'", shown(pattern.root()));
                self.error("value", text);
            }
            if let Some(most) = rule.max_length
                && value.as_str().is_some_and(|text| text.chars().count() > most)
            {
                self.error(
                    "value",
                    format!("Value is longer than the {most} characters that are allowed"),
                );
            }
        }
        self.bounds(&rule.bounds, item);
        if let Some(binding) = &rule.binding {
            self.bound(binding, item, Origin::Profile);
        }
        self.constraints(&rule.constraints, item);
    }

    fn types(&mut self, types: &[TypeRule], item: Item<'a>) {
        let own = item.structure;
        // FHIRPath's own types stand for the texts of ids and URLs.
        let fits = |of: &&TypeRule| own.is_a(&of.code) || of.code.starts_with("http://hl7.org/fhirpath/");
        let mut fitting = types.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            // A backbone element is called by its path in the tables.
            let backbone = own.url().is_empty();
            if !backbone {
                let names: Vec<&str> = types.iter().map(|of| of.code.as_str()).collect();
                let text = format!(
                    "The declared type of the element ({}) is incompatible with that of the instance ('{}')",
                    names.join(", "),
                    own.name()
                );
                self.error("structure", text);
            }
            return;
        }
        let fitting: Vec<&TypeRule> = fitting.collect();
        self.any_profile(&fitting, item);
        if own.name() == "Reference" {
            self.target(&fitting, item);
        }
    }

    /// A value must conform to one of the profiles of its types.
    fn any_profile(&mut self, types: &[&TypeRule], item: Item<'a>) {
        let profiles: Vec<&String> = types.iter().flat_map(|of| &of.profiles).collect();
        if profiles.is_empty() || types.iter().any(|of| of.profiles.is_empty()) {
            return;
        }
        let mut first: Option<Vec<Issue>> = None;
        for url in &profiles {
            let mut known = true;
            let found = self.tried(|trial| known = trial.by_url(item, url));
            if !known || !has_errors(&found) {
                return;
            }
            first.get_or_insert(found);
        }
        if let ([_], Some(found)) = (profiles.as_slice(), first) {
            for issue in found {
                self.adopt(issue);
            }
            return;
        }
        let names: Vec<&str> = profiles.iter().map(|url| url.as_str()).collect();
        let text = format!("Value does not conform to any of the profiles {}", names.join(", "));
        self.error("structure", text);
    }

    fn adopt(&mut self, issue: Issue) {
        let known = &mut self.findings.issues;
        if known.len() < super::MOST_ISSUES && !known.contains(&issue) {
            known.push(issue);
        }
    }

    /// The target of a reference must be of one of the types, or conform to one of the profiles.
    fn target(&mut self, types: &[&TypeRule], item: Item<'a>) {
        let targets: Vec<&String> = types.iter().flat_map(|of| &of.targets).collect();
        let Some(node) = item.value.filter(|_| !targets.is_empty()) else {
            return;
        };
        let Some(target) = self.resolved(node) else { return };
        let definitions = self.shared.knowledge.definitions;
        let mut names = Vec::new();
        for url in &targets {
            let core = url.split('|').next().and_then(|url| url.strip_prefix(CORE));
            if let Some(wanted) = core.and_then(|name| definitions.structure(name)) {
                if target.structure.is_a(wanted.name()) {
                    return;
                }
                names.push(wanted.name().to_owned());
                continue;
            }
            let Some(profile) = self.shared.knowledge.profiles.profile(url) else {
                self.findings.lacking.insert(super::Lacking::Profile((*url).clone()));
                return;
            };
            let right_type = target.structure.is_a(profile.of.name());
            // A resource elsewhere is known by its type alone.
            if right_type
                && (target.value.is_none() || !has_errors(&self.tried(|trial| trial.of_target(&profile, target))))
            {
                return;
            }
            names.push((*url).clone());
        }
        let text = format!(
            "The target of the reference is a '{}' that is none of {}",
            target.structure.name(),
            names.join(", ")
        );
        self.error("structure", text);
    }

    fn of_target(&mut self, profile: &super::Profile, target: Item<'a>) {
        self.resource = target;
        self.profile(profile, target);
    }

    /// What a reference points to; without a value where only its type is known.
    pub fn resolved(&self, node: Node<'a>) -> Option<Item<'a>> {
        let definitions = self.shared.knowledge.definitions;
        let typed = |name: &str| {
            Some(Item {
                value: None,
                extra: None,
                structure: definitions.structure(name)?,
            })
        };
        let Some(text) = node.text_of("reference") else {
            return typed(&node.text_of("type")?);
        };
        if let Some(id) = text.strip_prefix('#') {
            let contained = self.root.value?.get("contained")?;
            let found = contained
                .each()
                .find(|inner| inner.text_of("id").is_some_and(|own| own == id))?;
            return super::resource_item(definitions, found);
        }
        if let Some(found) = self.shared.bundle.and_then(|bundle| bundle.find(&text)) {
            return super::resource_item(definitions, found);
        }
        if let Some(literal) = reference::literal(&text, definitions) {
            return typed(literal.resource_type.name());
        }
        typed(&node.text_of("type")?)
    }

    /// The values that a discriminator looks at; `None` if it can't be evaluated.
    pub fn looked_at(&self, discriminator: &super::rule::Discriminator, item: Item<'a>) -> Option<Vec<Item<'a>>> {
        let values = discriminator.expression.evaluate(&self.world(), item).ok()?;
        // A path of a discriminator leads to elements: it has no functions that make values.
        let items = values.into_iter().filter_map(|value| match value {
            Value::Element(item) => Some((
                item.value.map(Node::position),
                item.extra.map(Node::position),
                item.structure,
            )),
            _ => None,
        });
        let document = item.value.or(item.extra)?.document();
        let at = |position: Option<u32>| position.and_then(|position| document.node(position));
        Some(
            items
                .map(|(value, extra, structure)| Item {
                    value: at(value),
                    extra: at(extra),
                    structure,
                })
                .collect(),
        )
    }
}
