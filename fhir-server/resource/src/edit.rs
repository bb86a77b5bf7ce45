//! Replacement of single string values, such as the references that a transaction resolves: every other byte stays.

use std::collections::BTreeMap;

use crate::document::Node;
use crate::writer::write_string;

/// New values for strings of one document, by where they stand.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Start of the old value → (its end, the new value).
    values: BTreeMap<usize, (usize, String)>,
}

impl Edits {
    /// No edit at all.
    pub const NONE: Edits = Edits {
        values: BTreeMap::new(),
    };

    /// Plans to write `value` where the scalar `node` stands; a second edit of the same node wins.
    pub fn replace(&mut self, node: Node<'_>, value: impl Into<String>) {
        let span = node.span();
        self.values.insert(span.start, (span.end, value.into()));
    }

    /// Whether nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many values are planned.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether a planned value stands inside `node`.
    pub fn touches(&self, node: Node<'_>) -> bool {
        self.values.range(node.span()).next().is_some()
    }

    pub(crate) fn at(&self, start: usize) -> Option<&str> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&start).map(|(_, value)| value.as_str())
    }

    /// The text of the document with the new values in it.
    pub fn apply(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut copied = 0;
        for (&start, (end, value)) in &self.values {
            let (Some(before), true) = (text.get(copied..start), *end <= text.len()) else {
                continue;
            };
            out.extend_from_slice(before.as_bytes());
            write_string(value, &mut out);
            copied = *end;
        }
        out.extend_from_slice(text.get(copied..).unwrap_or("").as_bytes());
        out
    }
}
