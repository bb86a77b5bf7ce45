//! The operations of a FHIRPath Patch as its `Parameters` give them.

use std::borrow::Cow;

use super::value::New;
use crate::document::Node;
use crate::patch::{MOST_OPERATIONS, PatchError};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Adds an element.
    Add,
    /// Puts an item into a list.
    Insert,
    /// Takes an element out.
    Delete,
    /// Gives an element another value.
    Replace,
    /// Gives an item of a list another place.
    Move,
    /// Replaces what is there, adds what isn't.
    Upsert,
}

impl Kind {
    fn named(code: &str) -> Option<Self> {
        let all = [
            Self::Add,
            Self::Insert,
            Self::Delete,
            Self::Replace,
            Self::Move,
            Self::Upsert,
        ];
        all.into_iter().find(|kind| kind.code() == code)
    }

    /// As it is written.
    pub fn code(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Insert => "insert",
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Move => "move",
            Self::Upsert => "upsert",
        }
    }

    /// The parts that it can't do without, beside the path.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Add => &["path", "name", "value"],
            Self::Insert => &["path", "index", "value"],
            Self::Delete => &["path"],
            Self::Replace | Self::Upsert => &["path", "value"],
            Self::Move => &["path", "source", "destination"],
        }
    }
}

/// One operation.
#[derive(Debug)]
pub struct Operation<'a> {
    /// What it does.
    pub kind: Kind,
    /// Where.
    pub path: Cow<'a, str>,
    parts: Vec<(Cow<'a, str>, Node<'a>)>,
}

/// All operations; each has what it needs.
pub fn read(parameters: Node<'_>) -> Result<Vec<Operation<'_>>, PatchError> {
    if parameters.text_of("resourceType").as_deref() != Some("Parameters") {
        return Err(malformed("A FHIRPath Patch must be a Parameters resource."));
    }
    let all: Vec<_> = parameters.get("parameter").into_iter().flat_map(Node::items).collect();
    if all.is_empty() || all.len() > MOST_OPERATIONS {
        return Err(malformed(format!(
            "A FHIRPath Patch has between one and {MOST_OPERATIONS} parameters named 'operation'."
        )));
    }
    all.into_iter().map(operation).collect()
}

fn malformed(text: impl Into<String>) -> PatchError {
    PatchError::Malformed(text.into())
}

fn operation(node: Node<'_>) -> Result<Operation<'_>, PatchError> {
    if node.text_of("name").as_deref() != Some("operation") {
        return Err(malformed(
            "Each parameter of a FHIRPath Patch must be named 'operation'.",
        ));
    }
    let parts = node.get("part").into_iter().flat_map(Node::items);
    let parts: Vec<_> = parts.filter_map(|part| Some((part.text_of("name")?, part))).collect();
    let text = |wanted: &str| {
        let part = parts.iter().find(|(name, _)| name == wanted)?;
        text_of(part.1)
    };
    let code = text("type").ok_or_else(|| malformed("Patch operations must have the 'type' part."))?;
    let kind = Kind::named(&code).ok_or_else(|| {
        malformed(format!(
            "Invalid patch operation type: '{code}'. Only 'add', 'insert', 'delete', 'replace', 'upsert', and 'move' \
             are allowed."
        ))
    })?;
    let missing = kind
        .needs()
        .iter()
        .find(|need| !parts.iter().any(|(name, _)| name == *need));
    if let Some(missing) = missing {
        return Err(lacks(kind, missing));
    }
    let path = text("path").ok_or_else(|| lacks(kind, "path"))?;
    Ok(Operation { kind, path, parts })
}

fn lacks(kind: Kind, part: &str) -> PatchError {
    malformed(format!("Patch {} operations must have the '{part}' part.", kind.code()))
}

/// `valueString`, `valueCode` …
fn text_of(part: Node<'_>) -> Option<Cow<'_, str>> {
    part.entries().find(|(name, _)| name.starts_with("value"))?.1.as_str()
}

impl<'a> Operation<'a> {
    fn part(&self, wanted: &str) -> Result<Node<'a>, PatchError> {
        let part = self.parts.iter().find(|(name, _)| name == wanted);
        part.map(|(_, node)| *node).ok_or_else(|| lacks(self.kind, wanted))
    }

    /// A part that is a text.
    pub fn text(&self, name: &str) -> Result<Cow<'a, str>, PatchError> {
        text_of(self.part(name)?).ok_or_else(|| lacks(self.kind, name))
    }

    /// A part that is an index below `length`.
    pub fn index(&self, name: &str, length: usize) -> Result<usize, PatchError> {
        let part = self.part(name)?;
        let number = part.entries().find(|(name, _)| name.starts_with("value"));
        let text = number
            .map(|(_, node)| node.raw())
            .ok_or_else(|| lacks(self.kind, name))?;
        let index = text.parse().ok().filter(|index| *index < length);
        index.ok_or_else(|| PatchError::Index {
            index: text.to_owned(),
            operation: self.kind.code(),
        })
    }

    /// The new value.
    pub fn value(&self) -> Result<New<'a>, PatchError> {
        New::of_part(self.part("value")?).ok_or_else(|| lacks(self.kind, "value"))
    }
}
