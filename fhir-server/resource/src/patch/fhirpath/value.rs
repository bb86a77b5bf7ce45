//! New values: `value[x]` of a part, a resource, or parts of its own for a backbone element.

use std::borrow::Cow;

use fhir_definitions::{Element, Max, Strength, Structure, StructureKind};

use crate::document::Node;
use crate::patch::tree::Tree;
use crate::validation::is_primitive;

/// A value as a part gives it.
#[derive(Debug, Clone)]
pub enum New<'a> {
    /// `valueCode: …`, perhaps with `_valueCode: …`
    Typed {
        /// `Code`
        suffix: String,
        /// The value; a primitive may have extensions only.
        value: Option<Node<'a>>,
        /// Its id and extensions.
        twin: Option<Node<'a>>,
    },
    /// `resource: …`
    Resource(Node<'a>),
    /// `part: […]`
    Parts(Vec<Node<'a>>),
}

impl<'a> New<'a> {
    /// What a part holds.
    pub fn of_part(part: Node<'a>) -> Option<Self> {
        if let Some(resource) = part.get("resource") {
            return Some(Self::Resource(resource));
        }
        if let Some(parts) = part.get("part") {
            return Some(Self::Parts(parts.items().collect()));
        }
        let name = part.entries().map(|(name, _)| name);
        let mut names = name.filter(|name| name.trim_start_matches('_').starts_with("value"));
        let name = names.next()?.trim_start_matches('_').to_owned();
        Some(Self::Typed {
            value: part.get(&name),
            twin: part.get(&format!("_{name}")),
            suffix: name.trim_start_matches("value").to_owned(),
        })
    }

    /// The first of its parts that isn't an element of what `element` is.
    pub fn stranger(&self, element: Element) -> Option<String> {
        let Self::Parts(parts) = self else { return None };
        let structure = element.structure();
        let names = parts.iter().filter_map(|part| part.text_of("name"));
        let mut strangers =
            names.filter(|name| structure.element(name).is_none() && structure.elements_named(name).next().is_none());
        strangers.next().map(Cow::into_owned)
    }

    /// The value and its twin as `element` has them; `None` if it can't be one.
    pub fn of(&self, element: Element) -> Option<(Tree<'a>, Option<Tree<'a>>)> {
        let structure = element.structure();
        match self {
            Self::Typed { value, twin, .. } if structure.kind() == StructureKind::Primitive => {
                let fits = value.is_none_or(|value| {
                    is_primitive(structure.name(), value) && may_be(element, &value.as_str().unwrap_or_default())
                });
                let value = value.map_or(Tree::Null, Tree::Kept);
                fits.then_some((value, twin.map(Tree::Kept)))
            }
            Self::Typed { value, .. } => value
                .filter(|value| value.is_object())
                .map(|value| (Tree::Kept(value), None)),
            Self::Resource(resource) => structure.is_a("Resource").then_some((Tree::Kept(*resource), None)),
            Self::Parts(parts) => object(structure, parts).map(|tree| (tree, None)),
        }
    }
}

/// Whether a required binding of `element` leaves `code` alone.
fn may_be(element: Element, code: &str) -> bool {
    let binding = element.binding();
    let required = binding.filter(|binding| binding.strength() == Strength::Required);
    required.is_none_or(|binding| binding.allows(code) != Some(false))
}

/// The element that FHIRPath calls `name`; of a choice, the alternative for `new`.
pub fn element(owner: Structure, name: &str, new: &New<'_>) -> Option<Element> {
    let all: Vec<Element> = owner.elements_named(name).collect();
    match (all.as_slice(), new) {
        ([], _) => owner.element(name),
        ([only], _) if !only.is_choice() => Some(*only),
        (all, New::Typed { suffix, .. }) => {
            let wanted = format!("{name}{suffix}");
            all.iter().copied().find(|element| element.name() == wanted)
        }
        _ => None,
    }
}

fn object<'a>(structure: Structure, parts: &[Node<'a>]) -> Option<Tree<'a>> {
    let mut members: Vec<(Cow<'a, str>, Tree<'a>)> = Vec::new();
    for part in parts {
        let new = New::of_part(*part)?;
        let element = element(structure, &part.text_of("name")?, &new)?;
        let (value, _) = new.of(element)?;
        let name = element.name();
        let old = members.iter_mut().find(|(own, _)| own == name);
        match (old, element.max()) {
            (Some((_, Tree::Array(items))), Max::Many) => items.push(value),
            (None, Max::Many) => members.push((Cow::Borrowed(name), Tree::Array(vec![value]))),
            (None, _) => members.push((Cow::Borrowed(name), value)),
            _ => return None,
        }
    }
    (!members.is_empty()).then_some(Tree::Object(members))
}
