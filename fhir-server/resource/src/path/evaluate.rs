//! Lowered steps over one resource. Nothing is allocated on the way but for comparisons.

use std::borrow::Cow;
use std::sync::OnceLock;

use fhir_definitions::{Definitions, Structure, StructureKind};

use super::steps::{Case, Lowered};
use crate::document::{Document, Kind, Node};
use crate::reference;

/// A value on the way: for primitives maybe with its `_name` twin, or the twin alone.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The value; a primitive may have extensions alone.
    pub value: Option<Node<'a>>,
    /// `_name`: id and extensions of a primitive.
    pub extra: Option<Node<'a>>,
    /// Its type.
    pub structure: Structure,
}

/// What names and variables stand for.
pub struct Context<'a> {
    pub definitions: &'static Definitions,
    pub this: Item<'a>,
    pub resource: Item<'a>,
}

type Sink<'s, 'a> = &'s mut dyn FnMut(Item<'a>);

impl Lowered {
    /// Gives every value to `sink`, in document order.
    pub fn each<'a>(&self, context: &Context<'a>, sink: Sink<'_, 'a>) {
        match self {
            Lowered::This => sink(context.this),
            Lowered::Resource => sink(context.resource),
            Lowered::Child { of, cases, name, twins } => {
                of.each(context, &mut |item| children(item, cases, name, *twins, sink));
            }
            Lowered::Extension { of, url } => of.each(context, &mut |item| extensions(context, item, url, sink)),
            Lowered::OfType { of, wanted } => of.each(context, &mut |item| {
                if item.structure == *wanted || item.structure.is_a(wanted.name()) {
                    sink(item);
                }
            }),
            Lowered::Where { of, condition } => of.each(context, &mut |item| {
                let inner = Context { this: item, ..*context };
                if condition.truth(&inner) == Some(true) {
                    sink(item);
                }
            }),
            Lowered::Pick { of, index } => {
                let mut at = 0;
                of.each(context, &mut |item| {
                    if at == *index {
                        sink(item);
                    }
                    at += 1;
                });
            }
            Lowered::Union(parts) => parts.iter().for_each(|part| part.each(context, sink)),
            Lowered::Text(_) => {}
            _ => {
                let boolean = context.definitions.structure("boolean");
                if let (Some(truth), Some(structure)) = (self.truth(context), boolean) {
                    sink(Item {
                        value: Some(constant(truth)),
                        extra: None,
                        structure,
                    });
                }
            }
        }
    }

    /// What a condition comes to; `None` is FHIRPath's empty collection.
    fn truth(&self, context: &Context<'_>) -> Option<bool> {
        match self {
            Lowered::Bool(value) => Some(*value),
            Lowered::Exists { of, wanted } => {
                let mut found = false;
                of.each(context, &mut |_| found = true);
                Some(found == *wanted)
            }
            Lowered::Is { of, wanted } => {
                let mut result = None;
                of.each(context, &mut |item| result = Some(item.structure.is_a(wanted.name())));
                result
            }
            Lowered::PointsTo { of, wanted } => {
                let mut found = false;
                of.each(context, &mut |item| found |= points_to(context, item, *wanted));
                Some(found)
            }
            Lowered::Equal { left, right, wanted } => {
                let (left, right) = (left.texts(context), right.texts(context));
                (!left.is_empty() && !right.is_empty()).then(|| (left == right) == *wanted)
            }
            Lowered::And(left, right) => match (left.truth(context), right.truth(context)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Lowered::Or(left, right) => match (left.truth(context), right.truth(context)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Lowered::Not(of) => of.truth(context).map(|truth| !truth),
            path => {
                // A single boolean counts as itself, any other single value as true.
                let mut result = None;
                path.each(context, &mut |item| {
                    result = Some(item.value.and_then(Node::as_bool).unwrap_or(true));
                });
                result
            }
        }
    }

    /// Each value as the text that it is compared by.
    fn texts(&self, context: &Context<'_>) -> Vec<String> {
        match self {
            Lowered::Text(text) => vec![text.clone()],
            path => {
                let mut texts = Vec::new();
                path.each(context, &mut |item| {
                    if let Some(value) = item.value {
                        texts.push(value.as_str().map_or_else(|| value.raw().to_owned(), Cow::into_owned));
                    }
                });
                texts
            }
        }
    }
}

fn children<'a>(item: Item<'a>, cases: &[Case], name: &str, twins: bool, sink: Sink<'_, 'a>) {
    let primitive = item.structure.kind() == StructureKind::Primitive;
    let Some(object) = (if primitive { item.extra } else { item.value }) else {
        return;
    };
    match cases.iter().find(|case| case.owner == item.structure) {
        Some(case) => {
            for member in &case.members {
                let twin = member.twin.as_deref().filter(|_| twins);
                let extra = twin.and_then(|twin| object.get(twin));
                member_values(object.get(member.name), extra, member.structure, sink);
            }
        }
        // The static type was abstract (an entry of a bundle): its own tables say what the name means.
        None => {
            for element in item.structure.elements_named(name) {
                member_values(object.get(element.name()), None, element.structure(), sink);
            }
        }
    }
}

/// The values of a member, one after the other, each with what its `_name` twin says of it.
pub fn member_values<'a>(
    value: Option<Node<'a>>,
    extra: Option<Node<'a>>,
    structure: Structure,
    sink: &mut dyn FnMut(Item<'a>),
) {
    match (value, extra) {
        (None, None) => {}
        (Some(value), None) => {
            for value in value.each().filter(|value| !value.is_null()) {
                sink(Item {
                    value: Some(value),
                    extra: None,
                    structure: actual(value, structure),
                });
            }
        }
        (value, Some(extra)) => {
            let mut values = value.into_iter().flat_map(Node::each);
            let mut extras = extra.each();
            loop {
                let (value, extra) = (values.next(), extras.next());
                if value.is_none() && extra.is_none() {
                    return;
                }
                let (value, extra) = (
                    value.filter(|value| !value.is_null()),
                    extra.filter(|extra| !extra.is_null()),
                );
                if value.is_some() || extra.is_some() {
                    sink(Item {
                        value,
                        extra,
                        structure,
                    });
                }
            }
        }
    }
}

/// The type of a value: resources inside others say it themselves.
pub fn actual(value: Node<'_>, structure: Structure) -> Structure {
    if structure.kind() == StructureKind::Resource
        && let Some(name) = value.text_of("resourceType")
        && let Some(own) = Definitions::of(structure.version()).structure(&name)
    {
        return own;
    }
    structure
}

fn extensions<'a>(context: &Context<'a>, item: Item<'a>, url: &str, sink: Sink<'_, 'a>) {
    let primitive = item.structure.kind() == StructureKind::Primitive;
    let holder = if primitive { item.extra } else { item.value };
    let Some(list) = holder.and_then(|holder| holder.get("extension")) else {
        return;
    };
    let Some(structure) = context.definitions.structure("Extension") else {
        return;
    };
    for extension in list
        .each()
        .filter(|extension| extension.text_of("url").is_some_and(|found| found == url))
    {
        sink(Item {
            value: Some(extension),
            extra: None,
            structure,
        });
    }
}

/// Whether a reference (or canonical) points to `wanted`, by its own text; a contained resource is looked up.
fn points_to(context: &Context<'_>, item: Item<'_>, wanted: Structure) -> bool {
    let Some(value) = item.value else { return false };
    let is_wanted = |name: &str| {
        name == wanted.name()
            || context
                .definitions
                .structure(name)
                .is_some_and(|found| found.is_a(wanted.name()))
    };
    if value.kind() == Kind::Object {
        match value.text_of("reference") {
            Some(text) if text.starts_with('#') => {
                contained_type(context.resource, &text[1..]).is_some_and(|name| is_wanted(&name))
            }
            Some(text) => match reference::literal(&text, context.definitions) {
                Some(literal) => is_wanted(literal.resource_type.name()),
                None => value.text_of("type").is_some_and(|name| is_wanted(&name)),
            },
            None => value.text_of("type").is_some_and(|name| is_wanted(&name)),
        }
    } else {
        let text = value.as_str().unwrap_or_default();
        reference::literal(&text, context.definitions).is_some_and(|literal| is_wanted(literal.resource_type.name()))
    }
}

fn contained_type<'a>(resource: Item<'a>, id: &str) -> Option<Cow<'a, str>> {
    let contained = resource.value?.get("contained")?;
    let found = contained
        .items()
        .find(|inner| inner.text_of("id").is_some_and(|found| found == id))?;
    found.text_of("resourceType")
}

/// A value that outlives every resource, for conditions that are values.
fn constant(truth: bool) -> Node<'static> {
    static CONSTANTS: OnceLock<[Document; 2]> = OnceLock::new();
    CONSTANTS.get_or_init(|| [false, true].map(Document::boolean))[usize::from(truth)].root()
}
