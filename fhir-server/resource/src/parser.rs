//! The JSON parser: one pass over the bytes, one growing tape, no recursion.

use std::fmt::Write as _;

use thiserror::Error;

use crate::document::{Document, Kind, Limits, Token};

/// Why some bytes are no acceptable JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseProblem {
    /// Nothing but whitespace.
    #[error("the body is empty")]
    Empty,
    /// More bytes than [`Limits::bytes`].
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// Deeper than [`Limits::depth`].
    #[error("objects and arrays nest deeper than {0}")]
    TooDeep(usize),
    /// Not UTF-8.
    #[error("the body is not valid UTF-8")]
    Utf8,
    /// The input ended within a value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// Something else than what the grammar asks for here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A second member of the same name.
    #[error("duplicate member name")]
    DuplicateName,
    /// A control character inside a string.
    #[error("control characters in strings must be escaped")]
    ControlCharacter,
    /// An unknown escape or an unpaired surrogate.
    #[error("invalid escape in a string")]
    Escape,
    /// A number that JSON doesn't allow, such as `01` or `1.`.
    #[error("invalid number")]
    Number,
    /// Text after the value.
    #[error("unexpected text after the document")]
    Trailing,
}

/// Where and why parsing stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid JSON at line {line}, position {column}: {problem}{}", within(.path))]
pub struct ParseError {
    /// What is wrong.
    pub problem: ParseProblem,
    /// Byte offset.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Byte position in the line, from 1.
    pub column: usize,
    /// Path of the value that could not be read, such as `name[0].family`; empty at the top.
    pub path: String,
}

fn within(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" (in `{path}`)")
    }
}

/// Whatever the limits say: values are compared and written by recursion.
const DEEPEST: usize = 256;

/// An object or array that is not closed yet.
struct Frame {
    token: u32,
    /// The tape position of the last member name (objects), or the number of items begun (arrays).
    last: u32,
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    tape: Vec<Token>,
    frames: Vec<Frame>,
    scratch: Vec<u32>,
}

pub(crate) fn parse(bytes: Vec<u8>, limits: Limits) -> Result<Document, ParseError> {
    let too_large = bytes.len() > limits.bytes || u32::try_from(bytes.len()).is_err();
    if too_large {
        return Err(ParseError::top(
            ParseProblem::TooLarge(limits.bytes.min(u32::MAX as usize)),
            &bytes,
            0,
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        ParseError::top(ParseProblem::Utf8, error.as_bytes(), offset)
    })?;
    let mut parser = Parser {
        text: text.as_bytes(),
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
        tape: Vec::with_capacity(text.len() / 12 + 8),
        frames: Vec::with_capacity(16),
        scratch: Vec::new(),
    };
    match parser.document(limits.depth.min(DEEPEST)) {
        Ok(()) => {
            let tape = parser.tape;
            Ok(Document { text, tape })
        }
        Err(problem) => {
            let (at, tape, frames) = (parser.at, parser.tape, parser.frames);
            let mut error = ParseError::top(problem, text.as_bytes(), at);
            error.path = path_of(&Document { text, tape }, &frames);
            Err(error)
        }
    }
}

impl ParseError {
    fn top(problem: ParseProblem, text: &[u8], offset: usize) -> Self {
        let offset = offset.min(text.len());
        let before = &text[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        ParseError {
            problem,
            offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            path: String::new(),
        }
    }
}

fn path_of(document: &Document, frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match document.tape[frame.token as usize].kind {
            Kind::Array => {
                // Writing to a String can't fail.
                let _ = write!(path, "[{}]", frame.last.saturating_sub(1));
            }
            _ if frame.last > frame.token => {
                let key = document.tape[frame.last as usize];
                if !path.is_empty() {
                    path.push('.');
                }
                // A hostile name must not fill the message.
                path.extend(
                    document.text[key.start as usize + 1..key.end as usize - 1]
                        .chars()
                        .take(64),
                );
            }
            _ => {}
        }
    }
    path
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn position(&self) -> u32 {
        // Each token takes at least one byte of an input below 4 GiB.
        u32::try_from(self.tape.len()).unwrap_or(u32::MAX)
    }

    fn offset(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn document(&mut self, depth: usize) -> Result<(), ParseProblem> {
        self.skip_whitespace();
        if self.peek().is_none() {
            return Err(ParseProblem::Empty);
        }
        self.value(depth)?;
        while let Some(frame) = self.frames.last() {
            let in_array = self.tape[frame.token as usize].kind == Kind::Array;
            self.skip_whitespace();
            match self.peek() {
                None => return Err(ParseProblem::UnexpectedEnd),
                Some(b',') => {
                    self.at += 1;
                    self.skip_whitespace();
                    let entry = if in_array { self.item(depth) } else { self.member(depth) };
                    entry?;
                }
                Some(b']') if in_array => self.close()?,
                Some(b'}') if !in_array => self.close()?,
                Some(_) => {
                    return Err(ParseProblem::Expected(if in_array {
                        "`,` or `]`"
                    } else {
                        "`,` or `}`"
                    }));
                }
            }
        }
        self.skip_whitespace();
        if self.peek().is_some() {
            Err(ParseProblem::Trailing)
        } else {
            Ok(())
        }
    }

    /// Reads a scalar whole; opens a container and reads its first entry's scalar, so that the loop above goes on.
    fn value(&mut self, depth: usize) -> Result<(), ParseProblem> {
        match self.peek() {
            None => Err(ParseProblem::UnexpectedEnd),
            Some(b'"') => self.string(),
            Some(b'{') => {
                self.open(Kind::Object, depth)?;
                if self.peek() == Some(b'}') {
                    self.close()
                } else {
                    self.member(depth)
                }
            }
            Some(b'[') => {
                self.open(Kind::Array, depth)?;
                if self.peek() == Some(b']') {
                    self.close()
                } else {
                    self.item(depth)
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Kind::Bool),
            Some(b'f') => self.word(b"false", Kind::Bool),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(_) => Err(ParseProblem::Expected("a value")),
        }
    }

    fn open(&mut self, kind: Kind, depth: usize) -> Result<(), ParseProblem> {
        if self.frames.len() >= depth {
            return Err(ParseProblem::TooDeep(depth));
        }
        let token = self.position();
        let start = self.offset();
        self.tape.push(Token {
            start,
            end: start,
            next: 0,
            kind,
            escaped: false,
        });
        self.frames.push(Frame {
            token,
            last: if kind == Kind::Array { 0 } else { token },
        });
        self.at += 1;
        self.skip_whitespace();
        Ok(())
    }

    fn close(&mut self) -> Result<(), ParseProblem> {
        let Some(frame) = self.frames.last() else {
            return Err(ParseProblem::Expected("a value"));
        };
        let token = frame.token;
        if self.tape[token as usize].kind == Kind::Object {
            self.refuse_duplicates(token)?;
        }
        self.frames.pop();
        self.at += 1;
        let (end, next) = (self.offset(), self.position());
        let container = &mut self.tape[token as usize];
        container.end = end;
        container.next = next;
        Ok(())
    }

    fn item(&mut self, depth: usize) -> Result<(), ParseProblem> {
        if let Some(frame) = self.frames.last_mut() {
            frame.last += 1;
        }
        self.value(depth)
    }

    fn member(&mut self, depth: usize) -> Result<(), ParseProblem> {
        if let Some(frame) = self.frames.last_mut() {
            // The member before is over: what comes now isn't in it.
            frame.last = frame.token;
        }
        match self.peek() {
            None => return Err(ParseProblem::UnexpectedEnd),
            Some(b'"') => {}
            Some(_) => return Err(ParseProblem::Expected("a member name in double quotes")),
        }
        let key = self.position();
        self.string()?;
        if let Some(frame) = self.frames.last_mut() {
            frame.last = key;
        }
        self.skip_whitespace();
        match self.peek() {
            None => return Err(ParseProblem::UnexpectedEnd),
            Some(b':') => self.at += 1,
            Some(_) => return Err(ParseProblem::Expected("`:` after the member name")),
        }
        self.skip_whitespace();
        self.value(depth)
    }

    fn scalar(&mut self, start: usize, kind: Kind, escaped: bool) {
        let next = self.position() + 1;
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        self.tape.push(Token {
            start,
            end: self.offset(),
            next,
            kind,
            escaped,
        });
    }

    fn word(&mut self, word: &'static [u8], kind: Kind) -> Result<(), ParseProblem> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return Err(ParseProblem::Expected("a value"));
        }
        self.at += word.len();
        self.scalar(start, kind, false);
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseProblem> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(ParseProblem::Number),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if let Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') = self.peek() {
            return Err(ParseProblem::Number);
        }
        self.scalar(start, Kind::Number, false);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ParseProblem> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            Err(ParseProblem::Number)
        } else {
            Ok(())
        }
    }

    fn string(&mut self) -> Result<(), ParseProblem> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain_length(&self.text[self.at..]);
            match self.peek() {
                None => return Err(ParseProblem::UnexpectedEnd),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(ParseProblem::ControlCharacter),
            }
        }
        self.at += 1;
        self.scalar(start, Kind::String, escaped);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), ParseProblem> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = code_unit(&self.text[self.at + 2..]).ok_or(ParseProblem::Escape)?;
                self.at += 6;
                match unit {
                    0xD800..0xDC00 => {
                        let low = self.text[self.at..].strip_prefix(b"\\u").and_then(code_unit);
                        if !matches!(low, Some(0xDC00..0xE000)) {
                            return Err(ParseProblem::Escape);
                        }
                        self.at += 6;
                        Ok(())
                    }
                    0xDC00..0xE000 => Err(ParseProblem::Escape),
                    _ => Ok(()),
                }
            }
            None => Err(ParseProblem::UnexpectedEnd),
            Some(_) => Err(ParseProblem::Escape),
        }
    }

    /// Few members are compared in pairs; many are sorted, so that a hostile object costs n log n.
    fn refuse_duplicates(&mut self, object: u32) -> Result<(), ParseProblem> {
        self.scratch.clear();
        let end = self.position();
        let mut at = object + 1;
        let mut escaped = false;
        while at < end {
            escaped |= self.tape[at as usize].escaped;
            self.scratch.push(at);
            at = self.tape[at as usize + 1].next;
        }
        let (tape, text) = (&self.tape, self.text);
        let raw = |index: u32| {
            let key = tape[index as usize];
            &text[key.start as usize + 1..key.end as usize - 1]
        };
        let duplicate = if escaped {
            let mut names: Vec<String> = self
                .scratch
                .iter()
                .map(|&index| unescape(&String::from_utf8_lossy(raw(index))))
                .collect();
            names.sort_unstable();
            names.windows(2).any(|pair| pair[0] == pair[1])
        } else if self.scratch.len() <= 24 {
            let names = &self.scratch;
            names
                .iter()
                .enumerate()
                .any(|(index, &a)| names[..index].iter().any(|&b| raw(a) == raw(b)))
        } else {
            self.scratch.sort_unstable_by(|&a, &b| raw(a).cmp(raw(b)));
            self.scratch.windows(2).any(|pair| raw(pair[0]) == raw(pair[1]))
        };
        if duplicate {
            Err(ParseProblem::DuplicateName)
        } else {
            Ok(())
        }
    }
}

/// How many bytes at the front need no attention inside a string: no quote, backslash or control character.
pub(crate) fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut length = 0;
    let (words, _) = text.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // The classic "has a zero byte" and "has a byte below 32" tests; the lowest hit is exact.
        let hit = ((quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word))
            & HIGH;
        if hit != 0 {
            return length + (hit.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length
        + text[length..]
            .iter()
            .take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
            .count()
}

fn code_unit(text: &[u8]) -> Option<u32> {
    text.get(..4)?
        .iter()
        .try_fold(0u32, |unit, &byte| Some(unit << 4 | char::from(byte).to_digit(16)?))
}

/// The value of a string's inside. Only for text that the parser accepted; anything else is kept as it stands.
pub(crate) fn unescape(inside: &str) -> String {
    let mut value = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(backslash) = memchr::memchr(b'\\', rest.as_bytes()) {
        value.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let Some(letter) = rest.chars().next() else { break };
        rest = &rest[letter.len_utf8()..];
        match letter {
            'b' => value.push('\u{8}'),
            'f' => value.push('\u{c}'),
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            'u' => {
                let mut unit = code_unit(rest.as_bytes()).unwrap_or(0xFFFD);
                rest = rest.get(4..).unwrap_or("");
                if (0xD800..0xDC00).contains(&unit)
                    && let Some(low) = rest.strip_prefix("\\u").and_then(|low| code_unit(low.as_bytes()))
                {
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
                    rest = rest.get(6..).unwrap_or("");
                }
                value.push(char::from_u32(unit).unwrap_or('\u{FFFD}'));
            }
            other => value.push(other),
        }
    }
    value.push_str(rest);
    value
}
