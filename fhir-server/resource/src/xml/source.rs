//! XML as tags with resolved namespaces. Whatever isn't well-formed, or needs a document type, is refused here; how much
//! a hostile document can cost is bounded by its length.

use std::borrow::Cow;

use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::characters::{attribute_value, is_plain_name, referenced};
use super::error::{Located, ReadProblem, shortened};
use super::{FHIR, XHTML};

/// The most attributes of an element and the most namespaces in scope: both are searched one by one.
const MOST_ATTRIBUTES: usize = 64;
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// <http://hl7.org/fhir>
    Fhir,
    /// <http://www.w3.org/1999/xhtml>
    Xhtml,
    /// `xml:lang` and the like.
    Xml,
    /// `xsi:schemaLocation` and the like.
    SchemaInstance,
    /// No namespace.
    None,
    /// Any other.
    Other,
}

/// An attribute that isn't a namespace declaration.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'x> {
    pub namespace: Namespace,
    /// Without its prefix.
    pub name: &'x str,
    /// As it stands in the source.
    value: &'x str,
    at: usize,
}

impl<'x> Attribute<'x> {
    /// Its value.
    pub fn value(&self) -> Result<Cow<'x, str>, Located> {
        attribute_value(self.value, self.at)
    }

    /// The same attribute as source, after a blank.
    pub fn source(&self) -> String {
        let prefix = if self.namespace == Namespace::Xml { "xml:" } else { "" };
        let quote = if self.value.contains('"') { '\'' } else { '"' };
        format!(" {prefix}{}={quote}{}{quote}", self.name, self.value)
    }
}

/// An opening tag.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the tag")]
pub struct Tag<'x> {
    pub namespace: Namespace,
    /// Without its prefix.
    pub name: &'x str,
    pub has_prefix: bool,
    /// Whether it declares what names without prefix belong to.
    pub declares_default: bool,
    /// Whether it declares a prefix.
    pub declares_prefix: bool,
    pub attributes: Vec<Attribute<'x>>,
    /// Whether it ends here (`<br/>`). No [`Token::Close`] follows then.
    pub is_empty: bool,
    pub at: usize,
}

/// A part of a document.
#[derive(Debug)]
pub enum Token<'x> {
    Open(Tag<'x>),
    Close,
    /// Words between tags, as they stand in the source, or a reference with `&` and `;`.
    Text(&'x str),
    /// The inside of a CDATA section.
    Data(&'x str),
    /// A comment, or the XML declaration.
    Comment,
    Instruction,
    End,
}

/// A declared namespace, and how many elements were open around the one that declared it.
struct Scope<'x> {
    level: usize,
    prefix: &'x str,
    namespace: Namespace,
}

/// The tokens of a document.
pub struct Source<'x> {
    text: &'x str,
    reader: Reader<&'x [u8]>,
    scopes: Vec<Scope<'x>>,
    level: usize,
    begun: bool,
}

impl<'x> Source<'x> {
    /// A document in which names without prefix belong to nothing at first.
    pub fn new(text: &'x str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        Self {
            text,
            reader,
            scopes: Vec::new(),
            level: 0,
            begun: false,
        }
    }

    /// A fragment of XHTML, which need not say so.
    pub fn xhtml(text: &'x str) -> Self {
        let mut source = Self::new(text);
        source.scopes.push(Scope {
            level: 0,
            prefix: "",
            namespace: Namespace::Xhtml,
        });
        source
    }

    /// Where the next token begins, in bytes.
    pub fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Token<'x>, Located> {
        let start = self.position();
        let kind = match self.reader.read_event() {
            Err(error) => {
                let offset = usize::try_from(self.reader.error_position()).unwrap_or(start);
                return Err(syntax(&error, self.text.get(start..).unwrap_or("")).at(offset));
            }
            Ok(event) => Kind::of(&event),
        };
        let whole = self.text.get(start..self.position()).unwrap_or("");
        let inside = |before: usize, after: usize| whole.get(before..whole.len() - after).unwrap_or("");
        let first = !std::mem::replace(&mut self.begun, true);
        match kind {
            Kind::Open => self.open(inside(1, 1), start, false).map(Token::Open),
            Kind::Empty => self.open(inside(1, 2), start, true).map(Token::Open),
            Kind::Close => {
                self.leave();
                Ok(Token::Close)
            }
            Kind::Text => match whole.find("]]>") {
                Some(at) => Err(ReadProblem::Syntax("`]]>` must be written as `]]&gt;`".to_owned()).at(start + at)),
                None => Ok(Token::Text(whole)),
            },
            Kind::Reference => match referenced(inside(1, 1)) {
                Some(_) => Ok(Token::Text(whole)),
                None => Err(ReadProblem::Entity(shortened(inside(1, 1))).at(start)),
            },
            Kind::Data => Ok(Token::Data(inside(9, 3))),
            Kind::Comment => Ok(Token::Comment),
            Kind::Declaration if first => declaration(inside(5, 2), start).map(|()| Token::Comment),
            Kind::Declaration => {
                Err(ReadProblem::Syntax("the XML declaration must stand at the beginning".to_owned()).at(start))
            }
            Kind::Instruction => Ok(Token::Instruction),
            Kind::Doctype => Err(ReadProblem::Doctype.at(start)),
            Kind::End => Ok(Token::End),
        }
    }

    fn leave(&mut self) {
        self.level = self.level.saturating_sub(1);
        while self.scopes.last().is_some_and(|scope| scope.level > self.level) {
            self.scopes.pop();
        }
    }

    fn open(&mut self, inside: &'x str, at: usize, is_empty: bool) -> Result<Tag<'x>, Located> {
        let length = inside
            .find(|next: char| next.is_ascii_whitespace())
            .unwrap_or(inside.len());
        let (name, source) = inside.split_at(length);
        self.level += 1;
        let (mut declares_default, mut declares_prefix) = (false, false);
        let mut attributes = Vec::new();
        for (name, value, at) in split_attributes(source, at + 1 + length)? {
            let declared = match name.split_once(':') {
                _ if name == "xmlns" => "",
                Some(("xmlns", prefix)) => prefix,
                _ => {
                    attributes.push((name, value, at));
                    continue;
                }
            };
            declares_default |= declared.is_empty();
            declares_prefix |= !declared.is_empty();
            if self.scopes.len() >= MOST_ATTRIBUTES {
                return Err(ReadProblem::TooManyAttributes(MOST_ATTRIBUTES).at(at));
            }
            self.scopes.push(Scope {
                level: self.level,
                prefix: declared,
                namespace: namespace_of(&attribute_value(value, at)?),
            });
        }
        let (prefix, name) = split_name(name, at)?;
        let namespace = self.resolve(prefix, at)?;
        let resolve = |(name, value, at)| {
            let (prefix, name) = split_name(name, at)?;
            let namespace = if prefix.is_empty() {
                Namespace::None
            } else {
                self.resolve(prefix, at)?
            };
            Ok(Attribute {
                namespace,
                name,
                value,
                at,
            })
        };
        let attributes = attributes.into_iter().map(resolve).collect::<Result<_, Located>>()?;
        if is_empty {
            self.leave();
        }
        Ok(Tag {
            namespace,
            name,
            has_prefix: !prefix.is_empty(),
            declares_default,
            declares_prefix,
            attributes,
            is_empty,
            at,
        })
    }

    fn resolve(&self, prefix: &str, at: usize) -> Result<Namespace, Located> {
        if prefix == "xml" {
            return Ok(Namespace::Xml);
        }
        match self.scopes.iter().rev().find(|scope| scope.prefix == prefix) {
            Some(scope) => Ok(scope.namespace),
            None if prefix.is_empty() => Ok(Namespace::None),
            None => Err(ReadProblem::Prefix(shortened(prefix)).at(at)),
        }
    }
}

/// What sort of event it is: its text is taken from the source.
enum Kind {
    Open,
    Empty,
    Close,
    Text,
    Reference,
    Data,
    Comment,
    Declaration,
    Instruction,
    Doctype,
    End,
}

impl Kind {
    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Start(_) => Self::Open,
            Event::Empty(_) => Self::Empty,
            Event::End(_) => Self::Close,
            Event::Text(_) => Self::Text,
            Event::GeneralRef(_) => Self::Reference,
            Event::CData(_) => Self::Data,
            Event::Comment(_) => Self::Comment,
            Event::Decl(_) => Self::Declaration,
            Event::PI(_) => Self::Instruction,
            Event::DocType(_) => Self::Doctype,
            Event::Eof => Self::End,
        }
    }
}

fn syntax(error: &Error, rest: &str) -> ReadProblem {
    if rest
        .get(..9)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("<!doctype"))
    {
        return ReadProblem::Doctype;
    }
    let text = match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            format!("expected `</{}>`, found `</{}>`", shortened(expected), shortened(found))
        }
        Error::IllFormed(IllFormedError::UnmatchedEndTag(name)) => {
            format!("`</{}>` ends no element", shortened(name))
        }
        Error::IllFormed(IllFormedError::MissingEndTag(name)) => {
            format!("the element `{}` does not end", shortened(name))
        }
        Error::IllFormed(IllFormedError::UnclosedReference) => "`&` must be written as `&amp;`".to_owned(),
        other => shortened(&other.to_string()),
    };
    ReadProblem::Syntax(text)
}

/// Only XML 1.0 in UTF-8, which is what FHIR asks for.
fn declaration(source: &str, at: usize) -> Result<(), Located> {
    for (name, value, at) in split_attributes(source, at + 5)? {
        match name {
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => return Err(ReadProblem::Utf8.at(at)),
            "version" if value != "1.0" => {
                return Err(ReadProblem::Syntax("only XML 1.0 is supported".to_owned()).at(at));
            }
            _ => {}
        }
    }
    Ok(())
}

fn namespace_of(uri: &str) -> Namespace {
    match uri {
        FHIR => Namespace::Fhir,
        XHTML => Namespace::Xhtml,
        XML => Namespace::Xml,
        SCHEMA_INSTANCE => Namespace::SchemaInstance,
        "" => Namespace::None,
        _ => Namespace::Other,
    }
}

fn split_name(name: &str, at: usize) -> Result<(&str, &str), Located> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    if is_plain_name(local) && (prefix.is_empty() != name.contains(':')) && (prefix.is_empty() || is_plain_name(prefix))
    {
        Ok((prefix, local))
    } else {
        Err(ReadProblem::Syntax(format!("`{}` is not a name", shortened(name))).at(at))
    }
}

/// Name, source of the value, and where the value begins.
type Parts<'x> = (&'x str, &'x str, usize);

/// The attributes of a tag, strictly as XML wants them.
fn split_attributes(source: &str, start: usize) -> Result<Vec<Parts<'_>>, Located> {
    let mut found: Vec<Parts<'_>> = Vec::new();
    let mut rest = source;
    loop {
        let trimmed = rest.trim_ascii_start();
        let at = start + source.len() - trimmed.len();
        if trimmed.is_empty() {
            return Ok(found);
        }
        let wrong = |what: &str| Err(ReadProblem::Syntax(what.to_owned()).at(at));
        if trimmed.len() == rest.len() {
            return wrong("attributes must be separated by white space");
        }
        let Some((name, value)) = trimmed.split_once('=') else {
            return wrong("an attribute must have a value");
        };
        let (name, value) = (name.trim_ascii_end(), value.trim_ascii_start());
        let Some(quote) = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
            return wrong("the value of an attribute must stand in quotes");
        };
        let Some((value, after)) = value[1..].split_once(quote) else {
            return wrong("the value of an attribute does not end");
        };
        if found.iter().any(|(other, ..)| *other == name) {
            return wrong("an attribute can't repeat");
        }
        if found.len() >= MOST_ATTRIBUTES {
            return Err(ReadProblem::TooManyAttributes(MOST_ATTRIBUTES).at(at));
        }
        let value_at = start + source.len() - after.len() - 1 - value.len();
        found.push((name, value, value_at));
        rest = after;
    }
}
