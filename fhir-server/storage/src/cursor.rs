//! Where the next page begins.

use std::fmt::{self, Write};
use std::str::FromStr;

use thiserror::Error;

use crate::version::Version;

/// A cursor that this program didn't give.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the continuation token is invalid")]
pub struct BadCursor;

/// The match that a page lies behind, or before: by what is sorted by, then by pk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) keys: Vec<Key>,
    pub(crate) pk: i64,
    /// The page lies before it, and ends there.
    pub(crate) backwards: bool,
}

impl Cursor {
    /// The page that ends with the last match.
    pub fn last() -> Self {
        Self {
            keys: Vec::new(),
            pk: i64::MAX,
            backwards: true,
        }
    }

    /// Whether it is before no match in particular, but the end of all of them.
    pub(crate) fn is_last(&self) -> bool {
        self.backwards && self.pk == i64::MAX
    }
}

/// A value that is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// There is none.
    Nothing,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The last version of a page of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCursor {
    pub(crate) updated: i64,
}

/// Before a cursor whose page lies before it.
const BACKWARDS: char = '<';

impl HistoryCursor {
    /// Behind this version.
    pub fn behind(version: &Version) -> Self {
        Self {
            updated: version.last_updated,
        }
    }
}

/// A letter and the value, in hexadecimal.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, bytes) = match self {
            Self::Nothing => return f.write_char('n'),
            Self::Number(number) => return write!(f, "i{number:x}"),
            Self::Text(text) => ('t', text.as_bytes()),
            Self::Bytes(bytes) => ('b', bytes.as_slice()),
        };
        f.write_char(letter)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Key {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (letter, rest) = text.split_at_checked(1).ok_or(BadCursor)?;
        match letter {
            "n" if rest.is_empty() => Ok(Self::Nothing),
            "i" => Ok(Self::Number(hexadecimal(rest)?)),
            "t" => Ok(Self::Text(String::from_utf8(bytes(rest)?).map_err(|_| BadCursor)?)),
            "b" => Ok(Self::Bytes(bytes(rest)?)),
            _ => Err(BadCursor),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backwards {
            f.write_char(BACKWARDS)?;
        }
        for key in &self.keys {
            write!(f, "{key}.")?;
        }
        write!(f, "{:x}", self.pk)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let before = text.strip_prefix(BACKWARDS);
        let mut parts: Vec<&str> = before.unwrap_or(text).split('.').collect();
        let pk = hexadecimal(parts.pop().ok_or(BadCursor)?)?;
        let keys = parts.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            pk,
            backwards: before.is_some(),
        })
    }
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.updated)
    }
}

impl FromStr for HistoryCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        Ok(Self {
            updated: hexadecimal(text)?,
        })
    }
}

fn hexadecimal(text: &str) -> Result<i64, BadCursor> {
    // as it was written: a negative number in two's complement
    u64::from_str_radix(text, 16)
        .map(u64::cast_signed)
        .map_err(|_| BadCursor)
}

fn bytes(text: &str) -> Result<Vec<u8>, BadCursor> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(BadCursor);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or(BadCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let keys = vec![
            Key::Nothing,
            Key::Number(-5),
            Key::Number(i64::MAX),
            Key::Text("Müller.x".to_owned()),
            Key::Text(String::new()),
            Key::Bytes(vec![0, 255, 16]),
        ];
        for backwards in [false, true] {
            let keys = keys.clone();
            let cursor = Cursor {
                keys,
                pk: 300,
                backwards,
            };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        assert_eq!(Cursor::last().to_string().parse(), Ok(Cursor::last()));
        for bad in [
            "", "x", "n", "n.", "q1.5", "tzz.5", "t123.5", "tff.5", "é.1", "i.5", "nn.5",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }
}
