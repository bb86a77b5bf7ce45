//! XML → JSON, in one pass.

use std::cmp::Ordering;

use fhir_definitions::{Definitions, Element, Max, Structure, StructureKind};

use super::characters::first_foreign;
use super::error::{Located, ReadError, ReadProblem, shortened};
use super::path::Path;
use super::source::{Attribute, Namespace, Source, Tag, Token};
use super::{FHIR, XHTML, is_attribute, narrative};
use crate::document::Limits;
use crate::writer::write_string;

/// The JSON text of the resource that `bytes` are in XML.
///
/// The elements must be those of the type, in its order, in the namespace of FHIR; the result is no deeper than
/// `limits.depth`.
pub fn read(definitions: &'static Definitions, bytes: &[u8], limits: Limits) -> Result<Vec<u8>, ReadError> {
    let top = |problem: ReadProblem, offset| ReadError::at(problem, bytes, offset, String::new());
    if bytes.len() > limits.bytes {
        return Err(top(ReadProblem::TooLarge(limits.bytes), 0));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| top(ReadProblem::Utf8, error.valid_up_to()))?;
    let begin = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let text = &text[begin..];
    if let Some((offset, next)) = first_foreign(text) {
        return Err(top(ReadProblem::Character(u32::from(next)), begin + offset));
    }
    let mut reader = Reader {
        definitions,
        text,
        source: Source::new(text),
        depth: limits.depth,
        path: Path::default(),
    };
    let mut out = Vec::with_capacity(bytes.len());
    match reader.document(&mut out) {
        Ok(()) => Ok(out),
        Err(Located { problem, offset }) => Err(ReadError::at(problem, bytes, begin + offset, reader.path.to_string())),
    }
}

type Result<T, E = Located> = std::result::Result<T, E>;

struct Reader<'x> {
    definitions: &'static Definitions,
    text: &'x str,
    source: Source<'x>,
    depth: usize,
    path: Path,
}

/// The elements of one name, which follow each other, on their way into JSON.
struct Run {
    element: Element,
    /// Where its member begins in the output.
    start: usize,
    count: usize,
    has_value: bool,
    /// What stands beside the first `twinned` values, with commas.
    twins: Vec<u8>,
    twinned: usize,
}

impl<'x> Reader<'x> {
    fn document(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut found = false;
        loop {
            let at = self.source.position();
            match self.source.next()? {
                Token::Open(_) if found => return Err(ReadProblem::Trailing.at(at)),
                Token::Open(tag) => {
                    found = true;
                    self.resource(&tag, 0, out)?;
                }
                Token::Comment | Token::Instruction => {}
                Token::Text(text) if text.trim_ascii().is_empty() => {}
                Token::End if found => return Ok(()),
                Token::End => return Err(ReadProblem::Empty.at(at)),
                Token::Text(_) | Token::Data(_) | Token::Close if found => return Err(ReadProblem::Trailing.at(at)),
                Token::Text(_) | Token::Data(_) | Token::Close => {
                    let text = "the body must begin with an element".to_owned();
                    return Err(ReadProblem::Syntax(text).at(at));
                }
            }
        }
    }

    /// The resource that `tag` opens, within `depth` objects and arrays.
    fn resource(&mut self, tag: &Tag<'x>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        if tag.namespace != Namespace::Fhir {
            let name = shortened(tag.name);
            return Err(ReadProblem::Namespace { name, namespace: FHIR }.at(tag.at));
        }
        let resource_type = self.definitions.resource_type(tag.name);
        let structure = resource_type
            .ok_or_else(|| ReadProblem::UnknownType(shortened(tag.name)).at(tag.at))?
            .structure();
        let is_top = self.path.is_empty();
        if is_top {
            self.path.push(structure.name(), None);
        }
        self.room(depth, tag.at)?;
        out.extend_from_slice(b"{\"resourceType\":");
        write_string(structure.name(), out);
        self.members(structure, tag, depth + 1, out)?;
        out.push(b'}');
        if is_top {
            self.path.pop();
        }
        Ok(())
    }

    /// Refuses an object or array inside `depth` others if these are enough.
    fn room(&self, depth: usize, at: usize) -> Result<()> {
        if depth >= self.depth {
            return Err(ReadProblem::TooDeep(self.depth).at(at));
        }
        Ok(())
    }

    /// The members of the object that `tag` is: attributes and child elements. Each begins with a comma unless it is
    /// the first after `{`. The value of a primitive type is left to the caller.
    fn members(&mut self, structure: Structure, tag: &Tag<'x>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        Self::attributes(structure, tag, out)?;
        if tag.is_empty {
            return Ok(());
        }
        let mut run: Option<Run> = None;
        loop {
            let at = self.source.position();
            let child = match self.source.next()? {
                Token::Open(child) => child,
                Token::Close => break,
                Token::Comment => continue,
                Token::Text(text) if text.trim_ascii().is_empty() => continue,
                Token::Text(_) | Token::Data(_) => return Err(ReadProblem::Text.at(at)),
                Token::Instruction => return Err(ReadProblem::Instruction.at(at)),
                Token::End => {
                    let text = format!("the element `{}` does not end", shortened(tag.name));
                    return Err(ReadProblem::Syntax(text).at(tag.at));
                }
            };
            let element = Self::element_of(structure, &child)?;
            let mut current = match run.take() {
                Some(same) if same.element == element => same,
                before => {
                    if let Some(before) = before {
                        in_order(before.element, element, at)?;
                        before.finish(out);
                    }
                    Run {
                        element,
                        start: out.len(),
                        count: 0,
                        has_value: false,
                        twins: Vec::new(),
                        twinned: 0,
                    }
                }
            };
            self.item(&mut current, &child, depth, out)?;
            run = Some(current);
        }
        if let Some(run) = run {
            run.finish(out);
        }
        Ok(())
    }

    fn attributes(structure: Structure, tag: &Tag<'x>, out: &mut Vec<u8>) -> Result<()> {
        for attribute in &tag.attributes {
            let is_member = match (attribute.namespace, attribute.name) {
                (Namespace::SchemaInstance, _) => continue,
                (Namespace::None, "value") if structure.kind() == StructureKind::Primitive => continue,
                (Namespace::None, name) => structure
                    .element(name)
                    .is_some_and(|element| is_attribute(structure, element)),
                _ => false,
            };
            if !is_member {
                return Err(ReadProblem::UnknownAttribute(shortened(attribute.name)).at(tag.at));
            }
            separate(out);
            write_string(attribute.name, out);
            out.push(b':');
            write_string(&attribute.value()?, out);
        }
        Ok(())
    }

    fn element_of(structure: Structure, child: &Tag<'x>) -> Result<Element> {
        let unknown = || ReadProblem::UnknownElement(shortened(child.name)).at(child.at);
        let element = structure.element(child.name).ok_or_else(unknown)?;
        // Of what stands beside a value only extensions are elements.
        let is_value = structure.kind() == StructureKind::Primitive && element.name() != "extension";
        if is_value || is_attribute(structure, element) || element.max() == Max::Zero {
            return Err(unknown());
        }
        let (wanted, namespace) = if element.structure().name() == "xhtml" {
            (Namespace::Xhtml, XHTML)
        } else {
            (Namespace::Fhir, FHIR)
        };
        if child.namespace == wanted {
            Ok(element)
        } else {
            let name = shortened(child.name);
            Err(ReadProblem::Namespace { name, namespace }.at(child.at))
        }
    }

    /// One more value of an element.
    fn item(&mut self, run: &mut Run, tag: &Tag<'x>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let element = run.element;
        let repeats = element.max() == Max::Many;
        if run.count == 0 {
            separate(out);
            write_string(element.name(), out);
            out.extend_from_slice(if repeats { b":[" } else { b":" });
        } else if repeats {
            out.push(b',');
        } else {
            return Err(ReadProblem::Repeated(element.name()).at(tag.at));
        }
        self.path.push(element.name(), repeats.then_some(run.count));
        run.count += 1;
        let depth = depth + usize::from(repeats);
        if repeats {
            self.room(depth - 1, tag.at)?;
        }
        match element.structure().kind() {
            StructureKind::Primitive if element.structure().name() == "xhtml" => {
                let div = narrative::copy(&mut self.source, self.text, tag, self.depth)?;
                write_string(&div, out);
                run.has_value = true;
            }
            StructureKind::Primitive => self.primitive(run, tag, depth, out)?,
            StructureKind::Resource => {
                self.room(depth, tag.at)?;
                self.wrapped(element, tag, depth, out)?;
                run.has_value = true;
            }
            StructureKind::Complex | StructureKind::Backbone => {
                self.room(depth, tag.at)?;
                out.push(b'{');
                let start = out.len();
                self.members(element.structure(), tag, depth + 1, out)?;
                if out.len() == start {
                    return Err(ReadProblem::Nothing(shortened(tag.name)).at(tag.at));
                }
                out.push(b'}');
                run.has_value = true;
            }
        }
        self.path.pop();
        Ok(())
    }

    /// The resource inside `contained` and the like.
    fn wrapped(&mut self, element: Element, tag: &Tag<'x>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        if let Some(attribute) = tag.attributes.first() {
            return Err(ReadProblem::UnknownAttribute(shortened(attribute.name)).at(tag.at));
        }
        let mut found = false;
        let mut ended = tag.is_empty;
        while !ended {
            let at = self.source.position();
            match self.source.next()? {
                Token::Open(_) if found => ended = true,
                Token::Open(resource) => {
                    self.resource(&resource, depth, out)?;
                    found = true;
                }
                Token::Close if found => return Ok(()),
                Token::Comment => {}
                Token::Text(text) if text.trim_ascii().is_empty() => {}
                Token::Text(_) | Token::Data(_) => return Err(ReadProblem::Text.at(at)),
                Token::Instruction => return Err(ReadProblem::Instruction.at(at)),
                Token::Close | Token::End => ended = true,
            }
        }
        Err(ReadProblem::OneResource(element.name()).at(tag.at))
    }

    /// A value, and what stands beside it.
    fn primitive(&mut self, run: &mut Run, tag: &Tag<'x>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let structure = run.element.structure();
        let is_value = |attribute: &&Attribute<'_>| attribute.namespace == Namespace::None && attribute.name == "value";
        let has_value = match tag.attributes.iter().find(is_value) {
            Some(attribute) => {
                write_literal(structure.name(), &attribute.value()?, tag.at, out)?;
                true
            }
            None => {
                out.extend_from_slice(b"null");
                false
            }
        };
        let mut twin = Vec::new();
        if !tag.is_empty || !tag.attributes.iter().all(|attribute| is_value(&attribute)) {
            self.room(depth, tag.at)?;
            twin.push(b'{');
            self.members(structure, tag, depth + 1, &mut twin)?;
        }
        if twin.len() > 1 {
            twin.push(b'}');
            run.add_twin(&twin);
        } else if !has_value {
            return Err(ReadProblem::Nothing(shortened(tag.name)).at(tag.at));
        }
        run.has_value |= has_value;
        Ok(())
    }
}

impl Run {
    /// Says what stands beside the value that was read last.
    fn add_twin(&mut self, twin: &[u8]) {
        self.fill_twins(self.count - 1);
        if self.twinned > 0 {
            self.twins.push(b',');
        }
        self.twins.extend_from_slice(twin);
        self.twinned += 1;
    }

    fn fill_twins(&mut self, count: usize) {
        for index in self.twinned..count {
            self.twins
                .extend_from_slice(if index == 0 { b"null" } else { b",null" });
        }
        self.twinned = self.twinned.max(count);
    }

    /// Ends the members `name` and `_name`.
    fn finish(mut self, out: &mut Vec<u8>) {
        let repeats = self.element.max() == Max::Many;
        if !self.has_value {
            out.truncate(self.start);
        } else if repeats {
            out.push(b']');
        }
        if self.twinned == 0 {
            return;
        }
        separate(out);
        write_string(&format!("_{}", self.element.name()), out);
        out.push(b':');
        if repeats {
            self.fill_twins(self.count);
            out.push(b'[');
        }
        out.append(&mut self.twins);
        if repeats {
            out.push(b']');
        }
    }
}

/// A comma, unless the object begins here.
fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

/// "Elements must always appear in the order documented", and one alternative of a choice alone.
fn in_order(before: Element, element: Element, at: usize) -> Result<()> {
    let problem = match element.slot().cmp(&before.slot()) {
        Ordering::Greater => return Ok(()),
        Ordering::Equal => ReadProblem::Choice(before.name(), element.name()),
        Ordering::Less => ReadProblem::Order {
            name: element.name(),
            after: before.name(),
        },
    };
    Err(problem.at(at))
}

fn write_literal(type_name: &'static str, text: &str, at: usize, out: &mut Vec<u8>) -> Result<()> {
    let fits = match type_name {
        "boolean" => matches!(text, "true" | "false"),
        "decimal" | "integer" | "positiveInt" | "unsignedInt" => is_number(text),
        _ => {
            write_string(text, out);
            return Ok(());
        }
    };
    if !fits {
        let text = shortened(text);
        return Err(ReadProblem::Literal { type_name, text }.at(at));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Whether JSON writes a number like that: so does FHIR's XML.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned
        .split_once(['e', 'E'])
        .map_or((unsigned, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let (whole, fraction) = mantissa
        .split_once('.')
        .map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
