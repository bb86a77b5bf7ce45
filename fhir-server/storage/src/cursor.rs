//! Where the next page begins.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A cursor that this program didn't give.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the continuation token is invalid")]
pub struct BadCursor;

/// The last match of a page: by the sort value, then by pk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) sort: i64,
    pub(crate) pk: i64,
}

/// The last version of a page of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCursor {
    pub(crate) updated: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.sort, self.pk)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (sort, pk) = text.split_once('.').ok_or(BadCursor)?;
        Ok(Self {
            sort: hexadecimal(sort)?,
            pk: hexadecimal(pk)?,
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
    i64::from_str_radix(text, 16).map_err(|_| BadCursor)
}
