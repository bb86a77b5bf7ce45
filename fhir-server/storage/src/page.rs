//! A page of matches.

use crate::cursor::Cursor;
use crate::error::ReadError;
use crate::version::Version;

/// A page of matches.
#[derive(Debug, Default)]
pub struct Page {
    /// The matches, in order.
    pub entries: Vec<Version>,
    /// Where the next page begins; `None`: this was the last one.
    pub next: Option<Cursor>,
    /// Where the page before ends; `None`: this was the first one.
    pub previous: Option<Cursor>,
}

/// Makes a page of what a statement gives: in the order of the page, or from its end where it lies before a cursor.
pub struct Gathering<'a> {
    count: usize,
    after: Option<&'a Cursor>,
    entries: Vec<Version>,
    first: Option<Cursor>,
    last: Option<Cursor>,
    more: bool,
}

impl<'a> Gathering<'a> {
    /// A page of at most `count` matches.
    pub fn new(count: usize, after: Option<&'a Cursor>) -> Self {
        Self {
            count,
            after,
            entries: Vec::new(),
            first: None,
            last: None,
            more: false,
        }
    }

    /// One match; whether the page can take another one.
    pub fn add(
        &mut self,
        place: Cursor,
        version: impl FnOnce() -> Result<Version, ReadError>,
    ) -> Result<bool, ReadError> {
        if self.entries.len() == self.count {
            self.more = true;
            return Ok(false);
        }
        self.entries.push(version()?);
        self.first.get_or_insert_with(|| place.clone());
        self.last = Some(place);
        Ok(true)
    }

    /// The page.
    pub fn finish(self) -> Page {
        let Self {
            after,
            mut entries,
            first,
            last,
            more,
            ..
        } = self;
        let before = |place: Option<Cursor>| Cursor {
            backwards: true,
            ..place.unwrap_or_else(Cursor::last)
        };
        match after {
            Some(after) if after.backwards => {
                entries.reverse();
                Page {
                    entries,
                    next: first.filter(|_| !after.is_last()),
                    previous: more.then(|| before(last)),
                }
            }
            after => Page {
                entries,
                previous: after.map(|_| before(first)),
                next: last.filter(|_| more),
            },
        }
    }
}
