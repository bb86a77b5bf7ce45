//! A JSON document as a tape of tokens over its own text. Numbers keep their text and strings their escapes, because
//! FHIR gives meaning to both (`1.10` is not `1.1`), and what was sent is what is stored.

use std::borrow::Cow;
use std::ops::Range;

use crate::parser::{self, ParseError};

/// What a document may cost before it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How deep objects and arrays may nest.
    pub depth: usize,
    /// The most bytes of input.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            bytes: 64 << 20,
        }
    }
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number, kept as its text.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Kind {
    /// What a message calls it: `an array`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        }
    }
}

/// One value or member name. Values of a container follow it directly; `next` is the token after all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub start: u32,
    pub end: u32,
    pub next: u32,
    pub kind: Kind,
    pub escaped: bool,
}

/// A parsed JSON document that owns its text.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) text: String,
    pub(crate) tape: Vec<Token>,
}

impl Document {
    /// Parses `bytes`: one JSON value in UTF-8, without duplicate member names, within `limits`.
    ///
    /// A `Vec<u8>`, a `String` or a `bytes::Bytes` is taken over without a copy, a slice is copied.
    pub fn parse(bytes: impl Into<Vec<u8>>, limits: Limits) -> Result<Self, ParseError> {
        parser::parse(bytes.into(), limits)
    }

    /// The document `true` or `false`.
    pub(crate) fn boolean(value: bool) -> Self {
        let text = value.to_string();
        let end = if value { 4 } else { 5 };
        Self {
            text,
            tape: vec![Token {
                start: 0,
                end,
                next: 1,
                kind: Kind::Bool,
                escaped: false,
            }],
        }
    }

    /// The value that the document consists of.
    pub fn root(&self) -> Node<'_> {
        Node {
            document: self,
            index: 0,
        }
    }

    /// The value at `position`, as [`Node::position`] said.
    pub(crate) fn node(&self, position: u32) -> Option<Node<'_>> {
        ((position as usize) < self.tape.len()).then_some(Node {
            document: self,
            index: position,
        })
    }

    /// The text of the document, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the text back.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The value whose text begins at byte `offset`, as `Node::span().start` said.
    pub fn node_at(&self, offset: usize) -> Option<Node<'_>> {
        let index = self
            .tape
            .binary_search_by(|token| (token.start as usize).cmp(&offset))
            .ok()?;
        Some(Node {
            document: self,
            index: u32::try_from(index).ok()?,
        })
    }
}

/// A value inside a [`Document`]; as cheap to copy as a reference.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    index: u32,
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Node({})", self.raw())
    }
}

impl<'a> Node<'a> {
    fn token(self) -> Token {
        // Nodes are only made from indexes of their own tape.
        self.document.tape[self.index as usize]
    }

    /// The document that holds this value.
    pub fn document(self) -> &'a Document {
        self.document
    }

    /// What kind of value it is.
    pub fn kind(self) -> Kind {
        self.token().kind
    }

    /// Its source text, quotes and brackets included.
    pub fn raw(self) -> &'a str {
        let token = self.token();
        // Tokens begin and end at ASCII characters of the text that they were made from.
        &self.document.text[token.start as usize..token.end as usize]
    }

    /// Where its source text lies in the document, in bytes.
    pub fn span(self) -> Range<usize> {
        let token = self.token();
        token.start as usize..token.end as usize
    }

    /// Its position on the tape: grows in document order and identifies the value within its document.
    pub fn position(self) -> u32 {
        self.index
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The member `name` of an object.
    pub fn get(self, name: &str) -> Option<Node<'a>> {
        let token = self.token();
        if token.kind != Kind::Object {
            return None;
        }
        let tape = &self.document.tape;
        let mut at = self.index + 1;
        while at < token.next {
            let key = tape[at as usize];
            let value = at + 1;
            let inside = &self.document.text.as_bytes()[key.start as usize + 1..key.end as usize - 1];
            let found = if key.escaped {
                Node {
                    document: self.document,
                    index: at,
                }
                .string()
                    == name
            } else {
                inside == name.as_bytes()
            };
            if found {
                return Some(Node {
                    document: self.document,
                    index: value,
                });
            }
            at = tape[value as usize].next;
        }
        None
    }

    /// The members of an object in document order; nothing for other kinds.
    pub fn entries(self) -> Entries<'a> {
        let token = self.token();
        let end = if token.kind == Kind::Object {
            token.next
        } else {
            self.index + 1
        };
        Entries {
            document: self.document,
            at: self.index + 1,
            end,
        }
    }

    /// Like [`Node::entries`], but names are source text with their quotes.
    pub(crate) fn raw_entries(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let mut entries = self.entries();
        std::iter::from_fn(move || {
            let name = Node {
                document: self.document,
                index: entries.at,
            };
            entries.skip_one().map(|value| (name.raw(), value))
        })
    }

    /// The items of an array in order; nothing for other kinds.
    pub fn items(self) -> Items<'a> {
        let token = self.token();
        let end = if token.kind == Kind::Array {
            token.next
        } else {
            self.index + 1
        };
        Items {
            document: self.document,
            at: self.index + 1,
            end,
        }
    }

    /// The item `index` of an array.
    pub fn item(self, index: usize) -> Option<Node<'a>> {
        self.items().nth(index)
    }

    /// The items of an array, or the value itself if it is none: elements that may repeat are written both ways.
    pub fn each(self) -> Items<'a> {
        let token = self.token();
        if token.kind == Kind::Array {
            self.items()
        } else {
            Items {
                document: self.document,
                at: self.index,
                end: token.next,
            }
        }
    }

    /// Whether an object or an array has nothing in it.
    pub fn is_empty(self) -> bool {
        self.token().next == self.index + 1
    }

    /// The value of a string, without its escapes.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| self.string())
    }

    /// The text of a number.
    pub fn number_text(self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The value of a boolean.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The string value of member `name`, shortest way to `resourceType`, `id`, `reference` and the like.
    pub fn text_of(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    fn string(self) -> Cow<'a, str> {
        let token = self.token();
        let inside = &self.document.text[token.start as usize + 1..token.end as usize - 1];
        if token.escaped {
            Cow::Owned(parser::unescape(inside))
        } else {
            Cow::Borrowed(inside)
        }
    }

    /// Whether two values are the same: members in any order, numbers by text, strings by value.
    pub fn same(self, other: Node<'_>) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::Object, Kind::Object) => {
                self.entries().count() == other.entries().count()
                    && self
                        .entries()
                        .all(|(name, value)| other.get(&name).is_some_and(|twin| value.same(twin)))
            }
            (Kind::Array, Kind::Array) => {
                let (mut left, mut right) = (self.items(), other.items());
                loop {
                    match (left.next(), right.next()) {
                        (None, None) => return true,
                        (Some(a), Some(b)) if a.same(b) => {}
                        _ => return false,
                    }
                }
            }
            (Kind::String, Kind::String) => self.string() == other.string(),
            (a, b) => a == b && self.raw() == other.raw(),
        }
    }
}

/// The members of an object: name and value.
#[derive(Clone)]
pub struct Entries<'a> {
    document: &'a Document,
    at: u32,
    end: u32,
}

impl<'a> Entries<'a> {
    fn skip_one(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let value = Node {
            document: self.document,
            index: self.at + 1,
        };
        self.at = value.token().next;
        Some(value)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = Node {
            document: self.document,
            index: self.at,
        };
        self.skip_one().map(|value| (name.string(), value))
    }
}

/// The items of an array.
#[derive(Clone)]
pub struct Items<'a> {
    document: &'a Document,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Node {
            document: self.document,
            index: self.at,
        };
        self.at = value.token().next;
        Some(value)
    }
}
