//! From text to nodes.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

use super::{Document, JsonError, Node, Value, list, repeated};

/// Deeper documents are refused.
const DEPTH: usize = 128;

/// One value and nothing else.
pub(super) fn document(bytes: &[u8], lenient: bool) -> Result<Document<'_>, JsonError> {
    let mut parser = Parser::new(bytes, list(bytes.len() / 12 + 4), lenient)?;
    match parser.document(None, 0) {
        Ok(()) => Ok(Document {
            nodes: parser.nodes,
            text: parser.text,
        }),
        Err(problem) => Err(parser.error(problem)),
    }
}

/// `{"Body": body, …context}`.
pub(super) fn envelope<'a>(body: &'a [u8], context: &'a str) -> Result<Document<'a>, JsonError> {
    let nodes = list((body.len() + context.len()) / 12 + 8);
    let mut parser = Parser::new(body, nodes, false)?;
    parser.nodes.push(Node {
        key: None,
        value: Value::Object,
        end: 0,
        offset: 0,
    });
    let (text, key) = (parser.text, Some(Cow::Borrowed("Body")));
    if body.trim_ascii().is_empty() {
        let (value, end) = (Value::Null, parser.nodes.len() + 1);
        parser.nodes.push(Node {
            key,
            value,
            end,
            offset: 0,
        });
    } else if let Err(problem) = parser.document(key, 1) {
        return Err(parser.error(problem));
    }
    let mut nodes = parser.nodes;
    if !context.is_empty() {
        let mut parser = Parser::new(context.as_bytes(), nodes, false)?;
        let members = if parser.eat(b'{') {
            parser.members(0)
        } else {
            Err("an object is expected")
        };
        members.map_err(|problem| parser.error(problem))?;
        nodes = parser.nodes;
    }
    nodes[0].end = nodes.len();
    Ok(Document { nodes, text })
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
    /// Goes on after `nodes`.
    fn new(bytes: &'a [u8], nodes: Vec<Node<'a>>, lenient: bool) -> Result<Self, JsonError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => return Err(located("the text isn't UTF-8", &bytes[..error.valid_up_to()])),
        };
        Ok(Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            nodes,
            lenient,
        })
    }

    fn error(&self, problem: &'static str) -> JsonError {
        located(problem, &self.bytes[..self.at.min(self.bytes.len())])
    }

    fn document(&mut self, key: Option<Cow<'a, str>>, depth: usize) -> Result<(), &'static str> {
        self.blank()?;
        self.node(key, depth)?;
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
        let offset = self.at;
        let value = match self.peek() {
            Some(b'"') => Value::String(self.string(b'"')?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b'{') => return self.composite(key, Value::Object, depth),
            Some(b'[') => return self.composite(key, Value::Array, depth),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'\'') if self.lenient => Value::String(self.string(b'\'')?),
            Some(_) => return Err("a value is expected"),
            None => return Err("the text ends too early"),
        };
        let end = self.nodes.len() + 1;
        self.nodes.push(Node {
            key,
            value,
            end,
            offset,
        });
        Ok(())
    }

    fn composite(&mut self, key: Option<Cow<'a, str>>, value: Value<'a>, depth: usize) -> Result<(), &'static str> {
        let (id, offset) = (self.nodes.len(), self.at);
        let is_object = value == Value::Object;
        self.nodes.push(Node {
            key,
            value,
            end: 0,
            offset,
        });
        self.at += 1;
        if is_object {
            self.members(depth)?;
            repeated::replace(&mut self.nodes, id);
        } else {
            self.elements(depth)?;
        }
        self.nodes[id].end = self.nodes.len();
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
                    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                    low.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + low))
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

    /// Passes over what stands between tokens.
    #[inline]
    fn blank(&mut self) -> Result<(), &'static str> {
        // Devices write little of it.
        match self.peek() {
            Some(byte) if byte > b' ' && byte != b'/' => Ok(()),
            _ => self.some_blank(),
        }
    }

    fn some_blank(&mut self) -> Result<(), &'static str> {
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
