//! The walk over a resource by the rules of built-in types.

use fhir_definitions::{FhirVersion, StructureKind};

use super::rule::Rule;
use super::{Checker, MOST_ISSUES, coding, constraints, members};
use crate::document::Node;
use crate::path::Item;

impl<'a> Checker<'_, 'a> {
    /// A resource: its built-in rules, and the profiles that it claims.
    pub fn resource(&mut self, item: Item<'a>) {
        self.value(item);
        let claimed = item.value.and_then(|node| node.get("meta")?.get("profile"));
        for url in claimed.into_iter().flat_map(Node::each) {
            if let Some(url) = url.as_str() {
                self.claimed(item, &url);
            }
        }
    }

    /// A value and all that is in it, by the rules of built-in types.
    pub fn value(&mut self, item: Item<'a>) {
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
                constraints::failed("ele-1", "All FHIR elements must have a @value or children"),
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

    pub fn member(&mut self, rule: Option<&Rule>, item: Item<'a>) {
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
    pub fn inner(&mut self, item: Item<'a>) {
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
}

/// Whether an element has an id and nothing else.
fn only_id(object: Node<'_>) -> bool {
    let mut entries = object.entries();
    matches!((entries.next(), entries.next()), (Some((name, _)), None) if name == "id")
}
