//! JSON → XML, in the order of the definitions.

use std::borrow::Cow;

use fhir_definitions::{Definitions, Element, Max, Structure, StructureKind};

use super::characters::{first_foreign, is_char, write_attribute_value};
use super::error::{WriteError, WriteProblem, shortened};
use super::path::Path;
use super::{FHIR, entries, is_attribute, mend, narrative};
use crate::document::{Document, Kind, Limits, Node};

/// How XML shall look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Each element on its own line, two blanks a level.
    pub pretty: bool,
    /// Whether characters that XML doesn't have become U+FFFD, as suits messages; otherwise they are refused.
    pub lossy: bool,
}

/// The XML of `resource`, with declaration and namespace, in UTF-8.
pub fn write(definitions: &'static Definitions, resource: Node<'_>, style: Style) -> Result<Vec<u8>, WriteError> {
    let room = resource.raw().len() * 3 / 2 + 128;
    Writer::new(definitions, style, room).document(resource)
}

/// The XML of the resource that `json` is. The entries of a Bundle are read one after the other, so that what is needed
/// beside both texts doesn't grow with their number.
pub fn write_text(definitions: &'static Definitions, json: &str, style: Style) -> Result<Vec<u8>, WriteError> {
    let mut writer = Writer::new(definitions, style, json.len() * 3 / 2 + 128);
    let Some(found) = entries::of_bundle(json) else {
        return writer.document(parse(json).map_err(WriteError::at_top)?.root());
    };
    // Where an array of one `null` stands, the entries are put.
    let mut around = String::new();
    for part in [
        json.get(..found.array.start),
        Some("[null]"),
        json.get(found.array.end..),
    ] {
        around.push_str(part.unwrap_or_default());
    }
    writer.entries = found.items.iter().filter_map(|item| json.get(item.clone())).collect();
    writer.document(parse(&around).map_err(WriteError::at_top)?.root())
}

/// Reads what was checked before it was stored, at any depth that bundles add.
fn parse(json: &str) -> Result<Document> {
    let limits = Limits {
        depth: 256,
        bytes: usize::MAX,
    };
    Document::parse(json, limits).map_err(|error| WriteProblem::Json(error.to_string()))
}

type Result<T, E = WriteProblem> = std::result::Result<T, E>;

struct Writer<'j> {
    definitions: &'static Definitions,
    style: Style,
    out: Vec<u8>,
    level: usize,
    path: Path,
    /// The entries of the Bundle that is written, if they are not in its document.
    entries: Vec<&'j str>,
}

/// An element of an object, and what its members `name` and `_name` say.
struct Found<'a> {
    element: Element,
    value: Option<Node<'a>>,
    twin: Option<Node<'a>>,
}

impl Writer<'_> {
    fn new(definitions: &'static Definitions, style: Style, room: usize) -> Self {
        Self {
            definitions,
            style,
            out: Vec::with_capacity(room),
            level: 0,
            path: Path::default(),
            entries: Vec::new(),
        }
    }

    fn document(mut self, resource: Node<'_>) -> Result<Vec<u8>, WriteError> {
        self.out
            .extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        match self.resource(resource) {
            Ok(()) => Ok(self.out),
            Err(problem) => Err(WriteError {
                problem,
                path: self.path.to_string(),
            }),
        }
    }

    fn resource(&mut self, node: Node<'_>) -> Result<()> {
        let name = node.text_of("resourceType").ok_or(WriteProblem::NoResource)?;
        let resource_type = self.definitions.resource_type(&name);
        let structure = resource_type.ok_or(WriteProblem::NoResource)?.structure();
        self.begin(structure.name());
        let is_top = self.path.is_empty();
        if is_top {
            self.path.push(structure.name(), None);
            self.attribute("xmlns", FHIR)?;
        }
        self.object(structure.name(), node, structure)?;
        if is_top {
            self.path.pop();
        }
        Ok(())
    }

    fn line(&mut self) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * self.level, b' ');
        }
    }

    /// Opens an element; attributes and [`Writer::content`] follow.
    fn begin(&mut self, name: &str) {
        self.line();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
    }

    fn attribute(&mut self, name: &str, value: &str) -> Result<()> {
        self.out.push(b' ');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"=\"");
        let value = self.without_foreign(value)?;
        write_attribute_value(&value, &mut self.out);
        self.out.push(b'"');
        Ok(())
    }

    fn without_foreign<'v>(&self, value: &'v str) -> Result<Cow<'v, str>> {
        match first_foreign(value) {
            None => Ok(Cow::Borrowed(value)),
            Some((_, next)) if !self.style.lossy => Err(WriteProblem::Character(u32::from(next))),
            Some(_) => Ok(value
                .chars()
                .map(|next| if is_char(next) { next } else { '\u{FFFD}' })
                .collect()),
        }
    }

    /// The rest of the element `name` that [`Writer::begin`] opened: attributes and elements of the object `node`.
    fn object(&mut self, name: &str, node: Node<'_>, structure: Structure) -> Result<()> {
        let mut children = members(node, structure)?;
        children.sort_by_key(|found| found.element.slot());
        for found in &children {
            if is_attribute(structure, found.element) {
                let value = found.value.filter(|_| found.twin.is_none()).and_then(Node::as_str);
                let value = value.ok_or(WriteProblem::Shape("anything but a string"))?;
                self.attribute(found.element.name(), &value)?;
            }
        }
        children.retain(|found| !is_attribute(structure, found.element));
        if children.is_empty() {
            self.out.extend_from_slice(b"/>");
            return Ok(());
        }
        self.out.push(b'>');
        self.level += 1;
        for found in &children {
            self.items(found)?;
        }
        self.end(name);
        Ok(())
    }

    fn end(&mut self, name: &str) {
        self.level -= 1;
        self.line();
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    /// Every value of an element.
    fn items(&mut self, found: &Found<'_>) -> Result<()> {
        let element = found.element;
        if self.level == 1 && element.name() == "entry" && !self.entries.is_empty() {
            return self.read_entries(element);
        }
        let repeats = element.max() == Max::Many;
        let is_array = |node: Option<Node<'_>>| node.is_some_and(Node::is_array);
        if !repeats && (is_array(found.value) || is_array(found.twin)) {
            return Err(WriteProblem::Shape("an array"));
        }
        let mut values = found.value.map(Node::each);
        let mut twins = found.twin.map(Node::each);
        for index in 0.. {
            let value = values.as_mut().and_then(Iterator::next);
            let twin = twins.as_mut().and_then(Iterator::next);
            if value.is_none() && twin.is_none() {
                break;
            }
            self.path.push(element.name(), repeats.then_some(index));
            let is_null = |node: &Node<'_>| node.is_null();
            self.item(
                element,
                value.filter(|node| !is_null(node)),
                twin.filter(|node| !is_null(node)),
            )?;
            self.path.pop();
        }
        Ok(())
    }

    fn read_entries(&mut self, element: Element) -> Result<()> {
        for (index, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            self.path.push(element.name(), Some(index));
            let entry = parse(entry)?;
            self.item(element, Some(entry.root()).filter(|entry| !entry.is_null()), None)?;
            self.path.pop();
        }
        Ok(())
    }

    fn item(&mut self, element: Element, value: Option<Node<'_>>, twin: Option<Node<'_>>) -> Result<()> {
        let (name, structure) = (element.name(), element.structure());
        if structure.kind() == StructureKind::Primitive {
            return self.primitive(name, structure, value, twin);
        }
        let node = value.ok_or(WriteProblem::Shape("`null`"))?;
        if !node.is_object() {
            return Err(WriteProblem::Shape(node.kind().name()));
        }
        self.begin(name);
        if structure.kind() == StructureKind::Resource {
            self.out.push(b'>');
            self.level += 1;
            self.resource(node)?;
            self.end(name);
            return Ok(());
        }
        self.object(name, node, structure)
    }

    fn primitive(
        &mut self,
        name: &str,
        structure: Structure,
        value: Option<Node<'_>>,
        twin: Option<Node<'_>>,
    ) -> Result<()> {
        if value.is_none() && twin.is_none() {
            return Err(WriteProblem::Shape("`null`"));
        }
        if structure.name() == "xhtml" {
            let text = value.filter(|_| twin.is_none()).and_then(Node::as_str);
            return self.narrative(&text.ok_or(WriteProblem::Shape("anything but a string"))?);
        }
        self.begin(name);
        if let Some(value) = value {
            match value.kind() {
                Kind::Object | Kind::Array => return Err(WriteProblem::Shape(value.kind().name())),
                Kind::String => self.attribute("value", &value.as_str().unwrap_or_default())?,
                _ => self.attribute("value", value.raw())?,
            }
        }
        match twin {
            None => {
                self.out.extend_from_slice(b"/>");
                Ok(())
            }
            Some(twin) if twin.is_object() => self.object(name, twin, structure),
            Some(twin) => Err(WriteProblem::Shape(twin.kind().name())),
        }
    }

    fn narrative(&mut self, text: &str) -> Result<()> {
        self.line();
        let text = self.without_foreign(text)?;
        match narrative::of_text(&text) {
            Some(div) => self.out.extend_from_slice(div.as_bytes()),
            None => mend::mend(&text, &mut self.out),
        }
        Ok(())
    }
}

/// The members of an object by element, in any order.
fn members(node: Node<'_>, structure: Structure) -> Result<Vec<Found<'_>>> {
    let mut all: Vec<Found<'_>> = Vec::new();
    for (name, value) in node.entries() {
        if structure.kind() == StructureKind::Resource && name == "resourceType" {
            continue;
        }
        let (bare, is_twin) = name.strip_prefix('_').map_or((&*name, false), |bare| (bare, true));
        let element = structure
            .element(bare)
            .filter(|element| !is_twin || element.structure().kind() == StructureKind::Primitive)
            .filter(|_| structure.kind() != StructureKind::Primitive || matches!(bare, "id" | "extension"))
            .ok_or_else(|| WriteProblem::UnknownElement(shortened(&name)))?;
        let (value, twin) = if is_twin {
            (None, Some(value))
        } else {
            (Some(value), None)
        };
        match all.iter_mut().find(|found| found.element == element) {
            Some(found) => {
                found.value = found.value.or(value);
                found.twin = found.twin.or(twin);
            }
            None => all.push(Found { element, value, twin }),
        }
    }
    Ok(all)
}
