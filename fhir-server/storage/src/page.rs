//! A page of matches.

use crate::cursor::Cursor;
use crate::version::Version;

/// A page of matches.
#[derive(Debug, Default)]
pub struct Page {
    /// The matches, in order.
    pub entries: Vec<Version>,
    /// Where the next page begins; `None`: this was the last one.
    pub next: Option<Cursor>,
}
