//! The JSON parser: one pass over the bytes, one growing tape, no recursion.

mod error;
mod scalar;

use std::fmt::Write as _;

pub use self::error::{ParseError, ParseProblem};
pub(crate) use self::scalar::{plain_length, unescape};
use crate::document::{Document, Kind, Limits, Token};

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
