//! The compressed part of the data: what is needed rarely and would cost memory if it were always open. It consists of
//! chunks; the ones used last stay open, up to [`MOST_OPEN`] bytes.

use std::fmt;
use std::io::Read;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::read::DeflateDecoder;

use crate::layout::{Section, Tables, chunk};

/// The most bytes of chunks that stay open.
pub const MOST_OPEN: usize = 1 << 20;

/// A rule beyond structure, in FHIRPath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invariant {
    /// The element that it holds for: `Patient.contact`.
    pub path: String,
    /// `pat-1`
    pub key: String,
    /// Whether breaking it is an error; otherwise a warning.
    pub error: bool,
    /// FHIRPath that must be true.
    pub expression: String,
    /// The rule in words.
    pub human: String,
}

/// A kind of resource that the definitions hold as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A value set or a code system.
    Terminology(TerminologyKind),
    /// A profile, or the definition of an extension.
    Profile,
}

impl Kind {
    /// How the directory names it.
    fn letter(self) -> char {
        match self {
            Self::Terminology(TerminologyKind::CodeSystem) => 'C',
            Self::Profile => 'P',
            Self::Terminology(TerminologyKind::ValueSet) => 'V',
        }
    }
}

/// A kind of terminology resource that the definitions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TerminologyKind {
    /// `CodeSystem`
    CodeSystem,
    /// `ValueSet`
    ValueSet,
}

/// A value set, a code system or a profile of the base specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseResource {
    /// Canonical URL, without a version.
    pub url: String,
    /// Business version; may be empty.
    pub version: String,
    /// FHIR JSON, without narrative and what else only people read; of a profile the differential.
    pub json: ColdText,
}

/// A text inside an open chunk. The chunk stays open as long as this is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ColdText {
    chunk: Arc<str>,
    range: Range<usize>,
}

impl Deref for ColdText {
    type Target = str;

    fn deref(&self) -> &str {
        self.chunk.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for ColdText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ColdText({} bytes)", self.len())
    }
}

/// The compressed part can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the compressed definitions can't be read")]
pub struct ColdError(#[from] std::io::Error);

/// The chunks that are open.
#[derive(Default)]
pub(crate) struct Pack {
    /// The one used last is at the end.
    open: Mutex<Vec<(u32, Arc<str>)>>,
}

impl Pack {
    fn chunk(&self, tables: &Tables, number: u32) -> Result<Arc<str>, ColdError> {
        let mut open = self.lock();
        let text = match open.iter().position(|(known, _)| *known == number) {
            Some(at) => open.remove(at).1,
            None => inflate(tables, number)?,
        };
        open.push((number, Arc::clone(&text)));
        while open.len() > 1 && open.iter().map(|(_, text)| text.len()).sum::<usize>() > MOST_OPEN {
            open.remove(0);
        }
        Ok(text)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u32, Arc<str>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that are open.
    pub fn open_bytes(&self) -> usize {
        self.lock().iter().map(|(_, text)| text.len()).sum()
    }

    /// One line an invariant, its fields separated by tabs.
    pub fn invariants(&self, tables: &Tables) -> Result<Vec<Invariant>, ColdError> {
        let text = self.chunk(tables, chunk::INVARIANTS)?;
        Ok(text
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t').map(str::to_owned);
                Some(Invariant {
                    path: fields.next()?,
                    key: fields.next()?,
                    error: fields.next()? == "error",
                    expression: fields.next()?,
                    human: fields.next()?,
                })
            })
            .collect())
    }

    /// The resource `url`.
    pub fn find(&self, tables: &Tables, kind: Kind, url: &str) -> Result<Option<BaseResource>, ColdError> {
        let directory = self.chunk(tables, chunk::DIRECTORY)?;
        let wanted = format!("{}\t{url}\t", kind.letter());
        let Some(line) = line_with(&directory, &wanted) else {
            return Ok(None);
        };
        let mut fields = line[wanted.len()..].split('\t');
        let version = fields.next().unwrap_or_default().to_owned();
        let mut number = || fields.next().and_then(|text| text.parse::<u32>().ok());
        let (Some(number), Some(start), Some(length)) = (number(), number(), number()) else {
            return Ok(None);
        };
        let start = start as usize;
        Ok(Some(BaseResource {
            url: url.to_owned(),
            version,
            json: ColdText {
                chunk: self.chunk(tables, number)?,
                range: start..start + length as usize,
            },
        }))
    }

    /// URL and version of each resource of a kind, by URL.
    pub fn list(&self, tables: &Tables, kind: Kind) -> Result<Vec<(String, String)>, ColdError> {
        let directory = self.chunk(tables, chunk::DIRECTORY)?;
        let lines = directory.lines().filter(|line| line.starts_with(kind.letter()));
        Ok(lines
            .filter_map(|line| {
                let mut fields = line.split('\t').skip(1).map(str::to_owned);
                Some((fields.next()?, fields.next()?))
            })
            .collect())
    }
}

fn inflate(tables: &Tables, number: u32) -> Result<Arc<str>, ColdError> {
    let word = |word| tables.word(Section::Chunks, number, word) as usize;
    let (start, packed, length) = (word(chunk::START), word(chunk::PACKED), word(chunk::LENGTH));
    let pack = tables.blob(Section::Cold);
    let packed = start.checked_add(packed).and_then(|end| pack.get(start..end));
    let mut text = String::new();
    DeflateDecoder::new(packed.unwrap_or_default())
        .take(length as u64)
        .read_to_string(&mut text)?;
    Ok(Arc::from(text))
}

/// The line that begins with `wanted`, in lines that are sorted.
fn line_with<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = text.as_bytes()[..middle].iter().rposition(|byte| *byte == b'\n');
        let start = start.map_or(0, |at| at + 1).max(low);
        let line = text.get(start..)?.lines().next()?;
        if line.starts_with(wanted) {
            return Some(line);
        }
        if line < wanted {
            low = start + line.len() + 1;
        } else {
            high = start;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_begin() {
        let text = "C\ta\t1\nC\tab\t2\nC\tb\t\nV\ta\t4\n";
        for (wanted, line) in [
            ("C\ta\t", Some("C\ta\t1")),
            ("C\tab\t", Some("C\tab\t2")),
            ("C\tb\t", Some("C\tb\t")),
            ("V\ta\t", Some("V\ta\t4")),
            ("A\ta\t", None),
            ("C\tabc\t", None),
            ("Z\t", None),
        ] {
            assert_eq!(line_with(text, wanted), line, "{wanted}");
        }
        assert_eq!(line_with("", "C"), None);
    }
}
