//! JSON as templates see it: one flat list of nodes in document order, borrowed from the text.
//!
//! A node's descendants are the nodes up to its end, so that a scan (`..`) is a walk over a slice. Numbers keep their text.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};
use thiserror::Error;

/// Deeper documents are refused.
const DEPTH: usize = 128;

/// Names a node of its document.
pub type Id = usize;

/// A parsed document; the root is node 0.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    text: &'a str,
}

#[derive(Debug, Clone)]
struct Node<'a> {
    key: Option<Cow<'a, str>>,
    value: Value<'a>,
    /// The node after the last descendant.
    end: Id,
    offset: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A text, unescaped.
    String(Cow<'a, str>),
    /// Its elements follow.
    Array,
    /// Its members follow.
    Object,
}

/// Why a text isn't JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem} at line {line}, position {column}")]
pub struct JsonError {
    /// What is wrong.
    pub problem: &'static str,
    /// Counted from 1.
    pub line: usize,
    /// Bytes from the beginning of the line, counted from 1.
    pub column: usize,
}

impl<'a> Document<'a> {
    /// Parses JSON (RFC 8259).
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        Self::read(text, false)
    }

    /// Parses JSON as people write templates: comments, single quotes, unquoted names and closing commas are accepted, as
    /// Newtonsoft.Json does.
    pub fn parse_lenient(text: &'a [u8]) -> Result<Self, JsonError> {
        Self::read(text, true)
    }

    fn read(bytes: &'a [u8], lenient: bool) -> Result<Self, JsonError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => return Err(located("the text isn't UTF-8", &bytes[..error.valid_up_to()])),
        };
        let mut parser = Parser {
            text,
            bytes: text.as_bytes(),
            at: 0,
            nodes: Vec::with_capacity(bytes.len() / 12 + 4),
            lenient,
        };
        match parser.document() {
            Ok(()) => Ok(Self {
                nodes: parser.nodes,
                text,
            }),
            Err(problem) => Err(located(problem, &parser.bytes[..parser.at.min(parser.bytes.len())])),
        }
    }

    /// What a node is.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.nodes[id].value
    }

    /// The name of a member; `None` for elements and the root.
    pub fn key(&self, id: Id) -> Option<&str> {
        self.nodes[id].key.as_deref()
    }

    /// The node after the last descendant.
    pub fn end(&self, id: Id) -> Id {
        self.nodes[id].end
    }

    /// Elements of an array or values of an object's members.
    pub fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        let end = self.nodes[id].end;
        let mut next = id + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next = self.nodes[child].end;
                child
            })
        })
    }

    /// The value of an object's member; of several with one name, the last.
    pub fn member(&self, id: Id, name: &str) -> Option<Id> {
        if self.nodes[id].value != Value::Object {
            return None;
        }
        self.children(id)
            .filter(|child| self.nodes[*child].key.as_deref() == Some(name))
            .last()
    }

    /// A member by name, whatever the case of its letters.
    pub fn member_any_case(&self, id: Id, name: &str) -> Option<Id> {
        if self.nodes[id].value != Value::Object {
            return None;
        }
        let same = |child: &Id| self.key(*child).is_some_and(|key| key.eq_ignore_ascii_case(name));
        self.children(id).filter(same).last()
    }

    /// A node's text.
    pub fn string(&self, id: Id) -> Option<&str> {
        match &self.nodes[id].value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The line that a node begins on, counted from 1.
    pub fn line(&self, id: Id) -> usize {
        memchr_iter(b'\n', &self.text.as_bytes()[..self.nodes[id].offset]).count() + 1
    }

    /// A node as it would be written in JSON.
    pub fn to_json(&self, id: Id) -> serde_json::Value {
        match &self.nodes[id].value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap_or(serde_json::Value::Null),
            Value::String(text) => text.as_ref().into(),
            Value::Array => self.children(id).map(|child| self.to_json(child)).collect(),
            Value::Object => self
                .children(id)
                .map(|child| (self.key(child).unwrap_or_default().to_owned(), self.to_json(child)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

fn located(problem: &'static str, before: &[u8]) -> JsonError {
    let line = memchr_iter(b'\n', before).count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    JsonError { problem, line, column }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    lenient: bool,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<(), &'static str> {
        self.blank()?;
        self.node(None, 0)?;
        self.blank()?;
        if self.at < self.bytes.len() {
            Err("there is more after the value")
        } else {
            Ok(())
        }
    }

    fn node(&mut self, key: Option<Cow<'a, str>>, depth: usize) -> Result<(), &'static str> {
        if depth > DEPTH {
            return Err("the value is nested too deeply");
        }
        let id = self.nodes.len();
        let offset = self.at;
        self.nodes.push(Node {
            key,
            value: Value::Null,
            end: 0,
            offset,
        });
        let value = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.members(depth)?;
                Value::Object
            }
            Some(b'[') => {
                self.at += 1;
                self.elements(depth)?;
                Value::Array
            }
            Some(b'"') => Value::String(self.string(b'"')?),
            Some(b'\'') if self.lenient => Value::String(self.string(b'\'')?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err("a value is expected"),
            None => return Err("the text ends too early"),
        };
        let end = self.nodes.len();
        let node = &mut self.nodes[id];
        node.value = value;
        node.end = end;
        Ok(())
    }

    fn members(&mut self, depth: usize) -> Result<(), &'static str> {
        self.blank()?;
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let key = self.name()?;
            self.blank()?;
            if !self.eat(b':') {
                return Err("`:` is expected");
            }
            self.blank()?;
            self.node(Some(key), depth + 1)?;
            if self.closes(b'}')? {
                return Ok(());
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Result<(), &'static str> {
        self.blank()?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.node(None, depth + 1)?;
            if self.closes(b']')? {
                return Ok(());
            }
        }
    }

    /// After a value: the end, or a comma and what follows it.
    fn closes(&mut self, bracket: u8) -> Result<bool, &'static str> {
        self.blank()?;
        if self.eat(bracket) {
            return Ok(true);
        }
        if !self.eat(b',') {
            return Err("`,` or the end of the list is expected");
        }
        self.blank()?;
        Ok(self.lenient && self.eat(bracket))
    }

    fn name(&mut self) -> Result<Cow<'a, str>, &'static str> {
        match self.peek() {
            Some(b'"') => self.string(b'"'),
            Some(b'\'') if self.lenient => self.string(b'\''),
            Some(byte) if self.lenient && (byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$') => {
                let begin = self.at;
                while self
                    .peek()
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
                {
                    self.at += 1;
                }
                Ok(Cow::Borrowed(&self.text[begin..self.at]))
            }
            _ => Err("a name in quotes is expected"),
        }
    }

    fn string(&mut self, quote: u8) -> Result<Cow<'a, str>, &'static str> {
        self.at += 1;
        let begin = self.at;
        let found = memchr2(quote, b'\\', &self.bytes[begin..]).ok_or("a text has no end")?;
        self.at = begin + found;
        if self.bytes[self.at] == quote {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[begin..begin + found]));
        }
        let mut text = self.text[begin..begin + found].to_owned();
        loop {
            let rest = self.at;
            let found = memchr2(quote, b'\\', &self.bytes[rest..]).ok_or("a text has no end")?;
            text.push_str(&self.text[rest..rest + found]);
            self.at = rest + found + 1;
            if self.bytes[self.at - 1] == quote {
                return Ok(Cow::Owned(text));
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        let byte = self.peek().ok_or("a text has no end")?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'\'' if self.lenient => '\'',
            b'u' => {
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let second = self.hex()?;
                    let low = second.wrapping_sub(0xdc00);
                    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
                        .filter(|_| low < 0x400)
                        .unwrap_or('\u{fffd}')
                } else {
                    char::from_u32(first).unwrap_or('\u{fffd}')
                }
            }
            _ => return Err("an escape isn't known"),
        })
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or("an escape needs four hexadecimal digits")?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| "an escape needs four hexadecimal digits")
    }

    fn number(&mut self) -> Result<&'a str, &'static str> {
        let begin = self.at;
        self.eat(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err("a number needs digits"),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.some_digits()?;
        }
        Ok(&self.text[begin..self.at])
    }

    fn some_digits(&mut self) -> Result<(), &'static str> {
        let begin = self.at;
        self.digits();
        if self.at > begin {
            Ok(())
        } else {
            Err("a number needs digits")
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, &'static str> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err("a value is expected");
        }
        self.at += word.len();
        Ok(value)
    }

    fn blank(&mut self) -> Result<(), &'static str> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/') if self.lenient => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        let rest = &self.text[self.at..];
        let length = if rest.starts_with("//") {
            memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").ok_or("a comment has no end")? + 2
        } else {
            return Err("a value is expected");
        };
        self.at += length;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"a":[1,-2.50e+3,"x\n\u00e9\ud83d\ude00"],"b":{"c":null,"d":true},"e":{}}"#)]
    #[case("[]")]
    #[case("\"text\"")]
    fn json_is_kept(#[case] text: &str) {
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Document::parse(text.as_bytes()).unwrap().to_json(0), expected);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("[1,]")]
    #[case("{'a':1}")]
    #[case("01")]
    #[case("1 2")]
    #[case("\"\\x\"")]
    #[case("nul")]
    fn what_is_not_json_is_refused(#[case] text: &str) {
        assert!(Document::parse(text.as_bytes()).is_err());
    }

    #[test]
    fn templates_may_be_lenient() {
        let text = "{ // note\n 'a': [1, 2,], /* more */ b: 'x', }";
        let document = Document::parse_lenient(text.as_bytes()).unwrap();
        assert_eq!(document.to_json(0), serde_json::json!({"a": [1, 2], "b": "x"}));
        assert_eq!(document.line(document.member(0, "b").unwrap()), 2);
    }

    #[test]
    fn an_error_has_a_place() {
        let error = Document::parse(b"{\n  \"a\": oops\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 8));
        assert!(Document::parse(&[b'['; 1000]).unwrap_err().problem.contains("deeply"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}:,\"'0-9a-u\\\\ .+-]{0,60}") {
            let _ = Document::parse(text.as_bytes());
            let _ = Document::parse_lenient(text.as_bytes());
        }
    }
}
