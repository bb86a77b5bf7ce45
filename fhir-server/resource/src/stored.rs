//! The form in which a resource is stored: its own bytes without whitespace between tokens, with the server's `id`, and
//! without `meta.versionId` and `meta.lastUpdated`, which are spliced back in when it is served, without parsing.
//!
//! One byte that no JSON text can hold marks where they go: the first place inside `meta`, which is made if absent.

use thiserror::Error;

use crate::Micros;
use crate::document::{Document, Kind, Limits, Node};
use crate::edit::Edits;
use crate::parser::ParseError;
use crate::temporal;
use crate::writer::{write_minified, write_string};

/// Marks the place of the server's own `meta` members; the JSON grammar has no control characters outside escapes.
const MARK: u8 = 0x01;

/// Why a value has no stored form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoredFormError {
    /// Not an object with a `resourceType`.
    #[error("a resource is a JSON object with a `resourceType`")]
    NotAResource,
    /// `meta` is something else than an object.
    #[error("`meta` must be an object")]
    Meta,
}

/// A resource as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredForm {
    bytes: Vec<u8>,
}

impl StoredForm {
    /// The stored form of `resource` under `id`, with `edits` carried out.
    ///
    /// Property order, number text, string escapes and unknown members stay as they are.
    pub fn of(resource: Node<'_>, id: &str, edits: &Edits) -> Result<Self, StoredFormError> {
        if resource
            .get("resourceType")
            .is_none_or(|name| name.kind() != Kind::String)
        {
            return Err(StoredFormError::NotAResource);
        }
        let has_id = resource.get("id").is_some();
        let has_meta = match resource.get("meta") {
            None => false,
            Some(meta) if meta.is_object() => true,
            Some(_) => return Err(StoredFormError::Meta),
        };
        let mut out = Vec::with_capacity(resource.raw().len() + 64);
        out.push(b'{');
        for (name, value) in resource.raw_entries() {
            if out.len() > 1 {
                out.push(b',');
            }
            match name {
                "\"id\"" => write_id(id, &mut out),
                "\"meta\"" => write_meta(Some(value), edits, &mut out),
                _ => {
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                    write_minified(value, edits, &mut out);
                }
            }
            if name == "\"resourceType\"" && !has_id {
                out.push(b',');
                write_id(id, &mut out);
            }
            let place_for_meta = if has_id { "\"id\"" } else { "\"resourceType\"" };
            if name == place_for_meta && !has_meta {
                out.push(b',');
                write_meta(None, edits, &mut out);
            }
        }
        out.push(b'}');
        Ok(Self { bytes: out })
    }

    /// The bytes to store.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes to store, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn write_id(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"id\":");
    write_string(id, out);
}

fn write_meta(meta: Option<Node<'_>>, edits: &Edits, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"meta\":{");
    out.push(MARK);
    let mut first = true;
    for (name, value) in meta.into_iter().flat_map(Node::raw_entries) {
        let server_owned = matches!(
            name,
            "\"versionId\"" | "\"lastUpdated\"" | "\"_versionId\"" | "\"_lastUpdated\""
        );
        if server_owned {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        write_minified(value, edits, out);
    }
    out.push(b'}');
}

/// Appends the stored resource as clients see it: with `meta.versionId` and `meta.lastUpdated` (six digits, UTC).
pub fn render(stored: &[u8], version: u64, last_updated: Micros, out: &mut Vec<u8>) {
    out.reserve(stored.len() + 72);
    let Some(mark) = memchr::memchr(MARK, stored) else {
        out.extend_from_slice(stored);
        return;
    };
    out.extend_from_slice(&stored[..mark]);
    out.extend_from_slice(b"\"versionId\":\"");
    out.extend_from_slice(version.to_string().as_bytes());
    out.extend_from_slice(b"\",\"lastUpdated\":\"");
    temporal::write_instant(last_updated, out);
    out.push(b'"');
    if stored.get(mark + 1) != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(&stored[mark + 1..]);
}

/// The stored resource as a document, without the server's own `meta` members.
pub fn parse(stored: &[u8]) -> Result<Document, ParseError> {
    let mut text = stored.to_vec();
    if let Some(mark) = memchr::memchr(MARK, &text) {
        text[mark] = b' ';
    }
    Document::parse(
        text,
        Limits {
            depth: 256,
            bytes: u32::MAX as usize,
        },
    )
}

/// Whether two stored forms say the same but for their `meta`.
pub fn same_but_meta(a: &[u8], b: &[u8]) -> bool {
    let (Ok(a), Ok(b)) = (parse(a), parse(b)) else {
        return false;
    };
    let count = |document: &Document| document.root().entries().filter(|(name, _)| name != "meta").count();
    let mut own = a.root().entries().filter(|(name, _)| name != "meta");
    count(&a) == count(&b) && own.all(|(name, value)| b.root().get(&name).is_some_and(|other| value.same(other)))
}

/// Whether two stored forms say the same: members in any order, numbers by text. A PUT of the same is without effect.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a.root().same(b.root()),
        _ => false,
    }
}
