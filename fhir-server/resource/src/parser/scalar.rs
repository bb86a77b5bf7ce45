//! Words, numbers and strings.

use super::{ParseProblem, Parser};
use crate::document::{Kind, Token};

impl Parser<'_> {
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

    pub(super) fn word(&mut self, word: &'static [u8], kind: Kind) -> Result<(), ParseProblem> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return Err(ParseProblem::Expected("a value"));
        }
        self.at += word.len();
        self.scalar(start, kind, false);
        Ok(())
    }

    pub(super) fn number(&mut self) -> Result<(), ParseProblem> {
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

    pub(super) fn string(&mut self) -> Result<(), ParseProblem> {
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
