//! The values of elements, with where they are.

use fhir_definitions::{Element, Max, StructureKind};

use crate::document::Node;
use crate::path::{Item, actual, elements, member_values};

/// One value of an element.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// The JSON member that it is in.
    pub name: &'static str,
    /// Its place, where the element may repeat.
    pub index: Option<usize>,
    /// The value.
    pub item: Item<'a>,
}

/// The values of `item`'s element that FHIRPath calls `name`.
pub fn members<'a>(item: Item<'a>, name: &str) -> Vec<Member<'a>> {
    let primitive = item.structure.kind() == StructureKind::Primitive;
    let holder = if primitive { item.extra } else { item.value };
    let Some(object) = holder.filter(|holder| holder.is_object()) else {
        return Vec::new();
    };
    elements(item.structure, name)
        .flat_map(|element| of_element(object, element))
        .collect()
}

/// The values of one element in `object`.
pub fn of_element(object: Node<'_>, element: Element) -> Vec<Member<'_>> {
    let mut found = Vec::new();
    let structure = element.structure();
    let value = object.get(element.name());
    let twin = if structure.kind() == StructureKind::Primitive {
        twin(object, element.name())
    } else {
        None
    };
    let repeats = element.max() == Max::Many;
    member_values(value, twin, structure, &mut |item| {
        let item = Item {
            structure: item.value.map_or(item.structure, |node| actual(node, item.structure)),
            ..item
        };
        found.push(Member {
            name: element.name(),
            index: repeats.then_some(found.len()),
            item,
        });
    });
    found
}

/// `_name`, where ids and extensions of a primitive stand.
fn twin<'a>(object: Node<'a>, name: &str) -> Option<Node<'a>> {
    let mut entries = object.entries();
    let found = entries.find(|(own, _)| own.strip_prefix('_') == Some(name))?;
    Some(found.1)
}
