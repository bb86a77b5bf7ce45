//! From text to a compiled path.

use thiserror::Error;

use super::{Path, Segment};

/// Why a text isn't a path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` isn't a JSONPath: {problem} at position {position}")]
pub struct PathError {
    /// The path.
    pub text: String,
    /// What is wrong.
    pub problem: &'static str,
    /// Bytes from the beginning, counted from 1.
    pub position: usize,
}

impl Path {
    /// Compiles a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        match parser.main() {
            Ok(segments) => Ok(Self {
                segments,
                text: text.to_owned(),
            }),
            Err(problem) => Err(PathError {
                text: text.to_owned(),
                problem,
                position: parser.at + 1,
            }),
        }
    }
}

/// Reads a path from its text.
pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) at: usize,
    /// Of filters in filters.
    pub(super) depth: usize,
}

pub(super) type Parsed<T> = Result<T, &'static str>;

impl Parser<'_> {
    fn main(&mut self) -> Parsed<Vec<Segment>> {
        self.blank();
        if self.rest() == "$" {
            return Ok(Vec::new());
        }
        let mut begin = self.at;
        if self.peek() == Some('$') && self.rest()[1..].starts_with(['.', '[']) {
            self.at += 1;
            begin = self.at;
            if self.peek() == Some('.') && !self.rest().starts_with("..") {
                self.at += 1;
                begin = self.at;
                if self.rest().is_empty() {
                    return Err("it ends too early");
                }
            }
        }
        let segments = self.path(begin, false)?;
        self.blank();
        if self.rest().is_empty() {
            Ok(segments)
        } else {
            Err("this character isn't expected")
        }
    }

    /// The steps from here on; in a filter they end at an operator.
    pub(super) fn path(&mut self, mut begin: usize, query: bool) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        let (mut scan, mut after_indexer, mut after_dot) = (false, false, false);
        while let Some(character) = self.peek() {
            match character {
                '[' | '(' => {
                    if self.at > begin {
                        segments.push(member(&self.text[begin..self.at], scan));
                        scan = false;
                    }
                    segments.push(self.indexer(character, scan)?);
                    (scan, after_indexer, after_dot) = (false, true, false);
                    begin = self.at;
                }
                ']' | ')' | ' ' => break,
                '.' => {
                    if self.at > begin {
                        segments.push(member(&self.text[begin..self.at], scan));
                        scan = false;
                    }
                    self.at += 1;
                    if self.peek() == Some('.') {
                        scan = true;
                        self.at += 1;
                    }
                    (after_indexer, after_dot) = (false, true);
                    begin = self.at;
                }
                '=' | '<' | '!' | '>' | '|' | '&' if query => break,
                _ if after_indexer => return Err("this character may not follow an indexer"),
                other => self.at += other.len_utf8(),
            }
        }
        if self.at > begin {
            segments.push(member(self.text[begin..self.at].trim_end(), scan));
        } else if after_dot && (self.rest().is_empty() || query) {
            return Err("it ends too early");
        }
        Ok(segments)
    }

    fn indexer(&mut self, open: char, scan: bool) -> Parsed<Segment> {
        let close = if open == '[' { ']' } else { ')' };
        self.at += 1;
        self.blank();
        let segment = match self.peek() {
            Some('\'') => self.names(scan)?,
            Some('?') => self.filter(scan)?,
            Some('*') => {
                self.at += 1;
                Segment::Indexes(Vec::new())
            }
            Some(_) => self.indexes()?,
            None => return Err("it ends too early"),
        };
        self.blank();
        if self.eat(close) {
            Ok(segment)
        } else {
            Err("the indexer isn't closed")
        }
    }

    fn names(&mut self, scan: bool) -> Parsed<Segment> {
        let mut names = vec![self.quoted()?];
        self.blank();
        while self.eat(',') {
            self.blank();
            names.push(self.quoted()?);
            self.blank();
        }
        Ok(match (names.len(), scan) {
            (1, false) => Segment::Member(names.pop()),
            (1, true) => Segment::Scan(names.pop()),
            (_, false) => Segment::Members(names),
            (_, true) => Segment::ScanMembers(names),
        })
    }

    fn indexes(&mut self) -> Parsed<Segment> {
        let first = self.whole_number()?;
        self.blank();
        if self.peek() == Some(':') {
            return self.slice(first);
        }
        let mut indexes = vec![first];
        while self.eat(',') {
            self.blank();
            indexes.push(self.whole_number()?);
            self.blank();
        }
        let index = |index: Option<i64>| {
            index
                .and_then(|index| usize::try_from(index).ok())
                .ok_or("an index is expected")
        };
        Ok(Segment::Indexes(
            indexes.into_iter().map(index).collect::<Result<_, _>>()?,
        ))
    }

    fn slice(&mut self, start: Option<i64>) -> Parsed<Segment> {
        let mut parts = [start, None, None];
        let mut part = 0;
        while self.eat(':') {
            part += 1;
            self.blank();
            *parts.get_mut(part).ok_or("a slice has three parts at most")? = self.whole_number()?;
            self.blank();
        }
        let [start, end, step] = parts;
        match step.unwrap_or(1) {
            0 => Err("a slice's step can't be zero"),
            step => Ok(Segment::Slice { start, end, step }),
        }
    }

    pub(super) fn quoted(&mut self) -> Parsed<String> {
        if !self.eat('\'') {
            return Err("a name in single quotes is expected");
        }
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '\'' => {
                    self.at += index + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, 'b')) => text.push('\u{8}'),
                    Some((_, 'f')) => text.push('\u{c}'),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other @ ('\\' | '"' | '\'' | '/'))) => text.push(other),
                    _ => return Err("an escape isn't known"),
                },
                other => text.push(other),
            }
        }
        Err("a text has no end")
    }

    fn whole_number(&mut self) -> Parsed<Option<i64>> {
        let digits: &str = self
            .rest()
            .split(|c: char| c != '-' && !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        let length = digits.len();
        if digits.is_empty() {
            return if self.peek().is_some_and(|c| ":])".contains(c)) {
                Ok(None)
            } else {
                Err("an index is expected")
            };
        }
        let number = digits.parse().map_err(|_| "an index is expected")?;
        self.at += length;
        Ok(Some(number))
    }

    pub(super) fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn eat(&mut self, character: char) -> bool {
        let there = self.peek() == Some(character);
        self.at += if there { character.len_utf8() } else { 0 };
        there
    }

    pub(super) fn blank(&mut self) {
        while self.peek() == Some(' ') {
            self.at += 1;
        }
    }
}

fn member(name: &str, scan: bool) -> Segment {
    let name = (name != "*").then(|| name.to_owned());
    if scan {
        Segment::Scan(name)
    } else {
        Segment::Member(name)
    }
}
