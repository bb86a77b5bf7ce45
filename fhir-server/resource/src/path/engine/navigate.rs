//! From an element to what is in it.

use std::collections::HashMap;

use fhir_definitions::{Element, Structure, StructureKind};

use super::value::{Collection, Value};
use super::{Evaluation, Fault, Rigour};
use crate::document::{Document, Node};
use crate::path::evaluate::{Item, actual, member_values};
use crate::reference;

/// The elements that FHIRPath calls `name`; alternatives of a choice by the common name only.
pub fn elements(owner: Structure, name: &str) -> impl Iterator<Item = Element> {
    let only = owner.element(name).filter(|element| !element.is_choice());
    let several = only.is_none().then(|| owner.elements_named(name));
    only.into_iter().chain(several.into_iter().flatten())
}

/// The object that holds the members of an element: `_name` for primitives.
fn holder<'a>(item: &Item<'a>) -> Option<Node<'a>> {
    if item.structure.kind() == StructureKind::Primitive {
        item.extra
    } else {
        item.value
    }
}

impl<'a> Evaluation<'_, 'a> {
    /// The children `name` of `value`, appended to `found`.
    pub fn member(&self, value: &Value<'a>, name: &str, found: &mut Collection<'a>) -> Result<(), Fault> {
        let item = match value {
            Value::Element(item) => item,
            Value::Type { namespace, name: own } => {
                match name {
                    "namespace" => found.push(Value::Text((*namespace).into())),
                    "name" => found.push(Value::Text((*own).into())),
                    _ => {}
                }
                return Ok(());
            }
            Value::Quantity(quantity) => {
                match name {
                    "value" => found.push(Value::Decimal(quantity.value)),
                    "unit" | "code" => {
                        let text = quantity.to_string();
                        let unit = text.split_once(' ').map_or("", |(_, unit)| unit.trim_matches('\''));
                        found.push(Value::Text(unit.to_owned().into()));
                    }
                    _ => {}
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        // `value` of a primitive is the value itself.
        if name == "value" && item.structure.kind() == StructureKind::Primitive {
            found.extend(item.value.is_some().then(|| value.system()).flatten());
            return Ok(());
        }
        let mut known = false;
        for element in elements(item.structure, name) {
            known = true;
            let Some(object) = holder(item) else { continue };
            self.values(object, element, found)?;
        }
        if !known && self.world.rigour == Rigour::Strict {
            let owner = item.structure.name();
            return Err(Fault::meaning(format!("`{owner}` has no element `{name}`")));
        }
        Ok(())
    }

    fn values(&self, object: Node<'a>, element: Element, found: &mut Collection<'a>) -> Result<(), Fault> {
        let structure = element.structure();
        let before = found.len();
        let twin = if structure.kind() == StructureKind::Primitive {
            twin(object, element.name())
        } else {
            None
        };
        member_values(object.get(element.name()), twin, structure, &mut |item| {
            found.push(Value::Element(item));
        });
        self.spend(1 + found.len() - before)
    }

    /// All children in document order.
    pub fn children(&self, value: &Value<'a>, found: &mut Collection<'a>) -> Result<(), Fault> {
        let Value::Element(item) = value else { return Ok(()) };
        let Some(object) = holder(item) else { return Ok(()) };
        for (name, member) in object.entries() {
            let bare = name.strip_prefix('_');
            let Some(element) = item.structure.element(bare.unwrap_or(&name)) else {
                continue;
            };
            if bare.is_some() && object.get(element.name()).is_some() {
                continue;
            }
            debug_assert!(!member.raw().is_empty());
            self.values(object, element, found)?;
        }
        Ok(())
    }

    /// All descendants, depth first.
    pub fn descendants(&self, value: &Value<'a>, found: &mut Collection<'a>) -> Result<(), Fault> {
        let mut children = Vec::new();
        self.children(value, &mut children)?;
        for child in children {
            found.push(child.clone());
            self.descendants(&child, found)?;
        }
        Ok(())
    }

    /// The extensions of an element with the URL `url`.
    pub fn extensions(&self, value: &Value<'a>, url: &str, found: &mut Collection<'a>) -> Result<(), Fault> {
        let Value::Element(item) = value else { return Ok(()) };
        let list = holder(item).and_then(|holder| holder.get("extension"));
        let structure = self.world.definitions.structure("Extension");
        let Some((list, structure)) = list.zip(structure) else {
            return Ok(());
        };
        for extension in list.each() {
            self.spend(1)?;
            if extension.text_of("url").is_some_and(|own| own == url) {
                found.push(Value::Element(Item {
                    value: Some(extension),
                    extra: None,
                    structure,
                }));
            }
        }
        Ok(())
    }

    /// What a reference (or canonical, or uri) points to: a resource contained here, an entry of the bundle around, or a
    /// mere type where only that is known.
    pub fn resolve(&self, value: &Value<'a>) -> Result<Option<Value<'a>>, Fault> {
        let Value::Element(item) = value else { return Ok(None) };
        let Some(node) = item.value else { return Ok(None) };
        let text = if node.is_object() {
            node.text_of("reference")
        } else {
            node.as_str()
        };
        let Some(text) = text else { return Ok(None) };
        let place = |node: Node<'a>| {
            let resource = self.world.definitions.structure("Resource")?;
            Some(Value::Element(Item {
                value: Some(node),
                extra: None,
                structure: actual(node, resource),
            }))
        };
        let root = self.world.root.value;
        if let Some(id) = text.strip_prefix('#') {
            if id.is_empty() {
                return Ok(root.and_then(place));
            }
            let contained = root.and_then(|root| root.get("contained"));
            for inner in contained.into_iter().flat_map(Node::each) {
                self.spend(1)?;
                if inner.text_of("id").is_some_and(|own| own == id) {
                    return Ok(place(inner));
                }
            }
            return Ok(None);
        }
        if let Some(found) = self.world.bundle.as_ref().and_then(|bundle| bundle.find(&text)) {
            return Ok(place(found));
        }
        let literal = reference::literal(&text, self.world.definitions);
        Ok(literal.map(|literal| {
            Value::Element(Item {
                value: None,
                extra: None,
                structure: literal.resource_type.structure(),
            })
        }))
    }
}

/// `_name`, where ids and extensions of a primitive stand.
fn twin<'a>(object: Node<'a>, name: &str) -> Option<Node<'a>> {
    let mut entries = object.entries();
    let found = entries.find(|(own, _)| own.strip_prefix('_') == Some(name))?;
    Some(found.1)
}

/// The entries of a bundle by what references call them.
#[derive(Debug)]
pub struct Entries<'a> {
    by_name: HashMap<String, Node<'a>>,
}

impl<'a> Entries<'a> {
    /// The entries of the bundle that `document` is, if it is one.
    pub fn of(document: &'a Document) -> Option<Self> {
        let root = document.root();
        if root.text_of("resourceType")? != "Bundle" {
            return None;
        }
        let mut by_name = HashMap::new();
        for entry in root.get("entry").into_iter().flat_map(Node::each) {
            let Some(resource) = entry.get("resource") else {
                continue;
            };
            if let Some(url) = entry.text_of("fullUrl") {
                by_name.insert(url.into_owned(), resource);
            }
            if let Some((of, id)) = resource.text_of("resourceType").zip(resource.text_of("id")) {
                by_name.entry(format!("{of}/{id}")).or_insert(resource);
            }
        }
        Some(Self { by_name })
    }

    /// The resource that a reference names.
    pub fn find(&self, reference: &str) -> Option<Node<'a>> {
        self.by_name.get(reference).copied()
    }
}
