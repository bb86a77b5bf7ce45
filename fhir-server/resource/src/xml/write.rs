//! JSON → XML, in the order of the definitions.

use fhir_definitions::{Definitions, Element, Structure, StructureKind};

use super::characters::{first_foreign, is_char, write_attribute_value};
use super::error::{WriteError, WriteProblem, shortened};
use super::path::Path;
use super::source::Source;
use super::{FHIR, mend, narrative};
use crate::document::Node;

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
    let mut writer = Writer {
        definitions,
        style,
        out: Vec::with_capacity(resource.raw().len() * 3 / 2 + 128),
        level: 0,
        path: Path::default(),
    };
    writer
        .out
        .extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    if style.pretty {
        writer.out.push(b'\n');
    }
    match writer.resource(resource) {
        Ok(()) => Ok(writer.out),
        Err(problem) => Err(WriteError {
            problem,
            path: writer.path.to_string(),
        }),
    }
}

type Result<T, E = WriteProblem> = std::result::Result<T, E>;

struct Writer {
    definitions: &'static Definitions,
    style: Style,
    out: Vec<u8>,
    level: usize,
    path: Path,
}

/// An element of an object, and what its members `name` and `_name` say.
struct Found<'a> {
    element: Element,
    value: Option<Node<'a>>,
    twin: Option<Node<'a>>,
}

impl Writer {
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
        self.content(node, structure)?;
        if is_top {
            self.path.pop();
        }
        Ok(())
    }

    fn line(&mut self) {
        if self.style.pretty && self.level > 0 {
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
        match first_foreign(value) {
            None => write_attribute_value(value, &mut self.out),
            Some(_) => write_attribute_value(&self.without_foreign(value)?, &mut self.out),
        }
        self.out.push(b'"');
        Ok(())
    }

    fn without_foreign(&self, value: &str) -> Result<String> {
        match first_foreign(value) {
            Some((_, next)) if !self.style.lossy => Err(WriteProblem::Character(u32::from(next))),
            _ => Ok(value
                .chars()
                .map(|next| if is_char(next) { next } else { '\u{FFFD}' })
                .collect()),
        }
    }

    /// The rest of the element that [`Writer::begin`] opened: attributes and elements of the object `node`.
    fn content(&mut self, node: Node<'_>, structure: Structure) -> Result<()> {
        let name_end = self.out.iter().rposition(|&byte| byte == b'<').unwrap_or_default() + 1;
        self.object(node, structure, name_end)
    }

    fn object(&mut self, node: Node<'_>, structure: Structure, name_start: usize) -> Result<()> {
        let _ = (node, structure, name_start);
        Ok(())
    }
}
