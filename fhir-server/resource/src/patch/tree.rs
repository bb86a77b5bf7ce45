//! A JSON value that can be changed: only what a change goes through is taken apart.

use std::borrow::Cow;

use super::pointer::Step;
use crate::document::{Kind, Node};
use crate::edit::Edits;
use crate::writer::{write_minified, write_string};

/// A value, part of which may be new.
#[derive(Debug, Clone)]
pub enum Tree<'a> {
    /// As it stands in a document.
    Kept(Node<'a>),
    /// Members in order.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
    /// Items in order.
    Array(Vec<Tree<'a>>),
    /// A new primitive value, as JSON writes it.
    New(String),
    /// Keeps the place of a primitive value without extensions beside those that have some.
    Null,
}

impl<'a> Tree<'a> {
    /// Takes an object or array apart, so that it can be changed.
    pub fn open(&mut self) -> &mut Self {
        if let Tree::Kept(node) = self {
            match node.kind() {
                Kind::Object => {
                    *self = Tree::Object(node.entries().map(|(name, value)| (name, Tree::Kept(value))).collect());
                }
                Kind::Array => *self = Tree::Array(node.items().map(Tree::Kept).collect()),
                _ => {}
            }
        }
        self
    }

    /// The value at the end of `path`.
    pub fn at(&mut self, path: &[Step]) -> Option<&mut Self> {
        let mut place = self;
        for step in path {
            place = match (place.open(), step) {
                (Tree::Object(members), Step::Name(name)) => &mut members.iter_mut().find(|(own, _)| own == name)?.1,
                (Tree::Array(items), Step::Index(index)) => items.get_mut(*index)?,
                _ => return None,
            };
        }
        Some(place)
    }

    /// Sets a member, at its old place if it has one. `None` for what is no object.
    pub fn set(&mut self, name: &str, value: Tree<'a>) -> Option<()> {
        let Tree::Object(members) = self.open() else {
            return None;
        };
        match members.iter_mut().find(|(own, _)| own == name) {
            Some((_, place)) => *place = value,
            None => members.push((Cow::Owned(name.to_owned()), value)),
        }
        Some(())
    }

    /// Takes a member out.
    pub fn unset(&mut self, name: &str) -> Option<Tree<'a>> {
        let Tree::Object(members) = self.open() else {
            return None;
        };
        let place = members.iter().position(|(own, _)| own == name)?;
        Some(members.remove(place).1)
    }

    /// The items of an array.
    pub fn items(&mut self) -> Option<&mut Vec<Tree<'a>>> {
        match self.open() {
            Tree::Array(items) => Some(items),
            _ => None,
        }
    }

    fn is_void(&self) -> bool {
        match self {
            Tree::Kept(node) => node.is_null(),
            Tree::New(_) => false,
            Tree::Null => true,
            Tree::Object(members) => members.iter().all(|(_, value)| value.is_void()),
            Tree::Array(items) => items.iter().all(Tree::is_void),
        }
    }

    /// Appends its text, without what has become empty.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut first = true;
        let mut comma = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
        };
        match self {
            Tree::Kept(node) => write_minified(*node, &Edits::NONE, out),
            Tree::New(text) => out.extend_from_slice(text.as_bytes()),
            Tree::Null => out.extend_from_slice(b"null"),
            Tree::Object(members) => {
                out.push(b'{');
                for (name, value) in members
                    .iter()
                    .filter(|(_, value)| matches!(value, Tree::Kept(_)) || !value.is_void())
                {
                    comma(out);
                    write_string(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
            Tree::Array(items) => {
                out.push(b'[');
                for item in items
                    .iter()
                    .filter(|item| matches!(item, Tree::Null | Tree::Kept(_)) || !item.is_void())
                {
                    comma(out);
                    item.write(out);
                }
                out.push(b']');
            }
        }
    }

    /// Its text.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.write(&mut out);
        out
    }
}
