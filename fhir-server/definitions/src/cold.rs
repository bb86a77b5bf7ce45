//! The compressed part of the data: what is needed rarely and would cost memory if it were always open.

use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::layout::{Section, Tables};

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

/// The compressed part can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the compressed definitions can't be read")]
pub struct ColdError(#[from] std::io::Error);

/// One line an invariant, its fields separated by tabs.
pub(crate) fn invariants(tables: &Tables) -> Result<Vec<Invariant>, ColdError> {
    let mut text = String::new();
    DeflateDecoder::new(tables.blob(Section::Cold)).read_to_string(&mut text)?;
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
