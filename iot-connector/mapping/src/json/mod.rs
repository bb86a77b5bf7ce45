//! JSON as templates see it: one flat list of nodes in document order, borrowed from the text.
//!
//! A node's descendants are the nodes up to its end, so that a scan (`..`) is a walk over a slice. Numbers keep their text.

mod parse;
mod repeated;

use std::{borrow::Cow, cell::Cell};

use memchr::{memchr_iter, memrchr};
use thiserror::Error;

/// Names a node of its document.
pub type Id = usize;

/// A parsed document; the root is node 0.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    nodes: Vec<Node<'a>>,
    text: &'a str,
}

#[derive(Debug, Clone)]
struct Node<'a> {
    key: Option<Cow<'a, str>>,
    value: Value<'a>,
    /// The node after the last descendant.
    end: Id,
    offset: usize,
}

thread_local! {
    /// The list of the last document that was recycled, empty: messages follow each other, and a large list costs the
    /// allocator more than all that is in it.
    static SPARE: Cell<Vec<Node<'static>>> = const { Cell::new(Vec::new()) };
}

const NOTHING: Node<'static> = Node {
    key: None,
    value: Value::Null,
    end: 0,
    offset: 0,
};

/// A longer list isn't kept.
const LONGEST_SPARE: usize = 16_384;

/// An empty list with room for so many nodes.
fn list<'a>(room: usize) -> Vec<Node<'a>> {
    let mut nodes: Vec<Node<'a>> = SPARE.take();
    nodes.reserve(room);
    nodes
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A text, unescaped.
    String(Cow<'a, str>),
    /// Its elements follow.
    Array,
    /// Its members follow.
    Object,
}

/// Why a text isn't JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem} at line {line}, position {column}")]
pub struct JsonError {
    /// What is wrong.
    pub problem: &'static str,
    /// Counted from 1.
    pub line: usize,
    /// Bytes from the beginning of the line, counted from 1.
    pub column: usize,
}

impl<'a> Document<'a> {
    /// Parses JSON (RFC 8259).
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        parse::document(text, false)
    }

    /// Parses JSON as people write templates: comments, single quotes, unquoted names and closing commas are accepted, as
    /// Newtonsoft.Json does.
    pub fn parse_lenient(text: &'a [u8]) -> Result<Self, JsonError> {
        parse::document(text, true)
    }

    /// A device's body with what is known beside it: the object `{"Body": body, …}` with the members of the object
    /// `context`. An empty body is `null`. Errors are about the body.
    pub fn envelope(body: &'a [u8], context: &'a str) -> Result<Self, JsonError> {
        parse::envelope(body, context)
    }

    /// Leaves its list to the next document of this thread.
    pub fn recycle(mut self) {
        if self.nodes.capacity() <= LONGEST_SPARE {
            self.nodes.clear();
            // Collecting nothing into the same layout keeps the memory.
            SPARE.set(self.nodes.into_iter().map(|_| NOTHING).collect());
        }
    }

    /// How many nodes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always the root")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What a node is.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.nodes[id].value
    }

    /// The name of a member; `None` for elements and the root.
    pub fn key(&self, id: Id) -> Option<&str> {
        self.nodes[id].key.as_deref()
    }

    /// The node after the last descendant.
    pub fn end(&self, id: Id) -> Id {
        self.nodes[id].end
    }

    /// Elements of an array or values of an object's members.
    pub fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        siblings(&self.nodes, id + 1, self.nodes[id].end)
    }

    /// The value of an object's member; of several with one name, the last.
    pub fn member(&self, id: Id, name: &str) -> Option<Id> {
        if self.nodes[id].value != Value::Object {
            return None;
        }
        self.children(id)
            .filter(|child| self.nodes[*child].key.as_deref() == Some(name))
            .last()
    }

    /// A member by name, whatever the case of its letters.
    pub fn member_any_case(&self, id: Id, name: &str) -> Option<Id> {
        if self.nodes[id].value != Value::Object {
            return None;
        }
        let same = |child: &Id| self.key(*child).is_some_and(|key| key.eq_ignore_ascii_case(name));
        self.children(id).filter(same).last()
    }

    /// A node's text.
    pub fn string(&self, id: Id) -> Option<&str> {
        match &self.nodes[id].value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The line that a node begins on, and the bytes from the line's beginning, both counted from 1.
    pub fn place(&self, id: Id) -> (usize, usize) {
        let before = &self.text.as_bytes()[..self.nodes[id].offset];
        let line = memchr_iter(b'\n', before).count() + 1;
        let position = before.len() - memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
        (line, position)
    }

    /// A node as it would be written in JSON.
    pub fn to_json(&self, id: Id) -> serde_json::Value {
        match &self.nodes[id].value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap_or(serde_json::Value::Null),
            Value::String(text) => text.as_ref().into(),
            Value::Array => self.children(id).map(|child| self.to_json(child)).collect(),
            Value::Object => self
                .children(id)
                .map(|child| (self.key(child).unwrap_or_default().to_owned(), self.to_json(child)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// The nodes from the first to before `end`, without what is in them.
fn siblings(nodes: &[Node<'_>], first: Id, end: Id) -> impl Iterator<Item = Id> {
    let mut next = first;
    std::iter::from_fn(move || {
        let node = next;
        (node < end).then(|| {
            next = nodes[node].end;
            node
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"a":[1,-2.50e+3,"x\n\u00e9\ud83d\ude00"],"b":{"c":null,"d":true},"e":{}}"#)]
    #[case("[]")]
    #[case("\"text\"")]
    fn json_is_kept(#[case] text: &str) {
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(Document::parse(text.as_bytes()).unwrap().to_json(0), expected);
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case("[1,]")]
    #[case("{'a':1}")]
    #[case("01")]
    #[case("1 2")]
    #[case("\"\\x\"")]
    #[case("nul")]
    fn what_is_not_json_is_refused(#[case] text: &str) {
        assert!(Document::parse(text.as_bytes()).is_err());
    }

    #[rstest]
    #[case(r#""\ud83d\ude00""#, "😀")]
    #[case(r#""\ud800\u0000""#, "\u{fffd}")]
    #[case(r#""\ud800\udfff""#, "\u{103ff}")]
    #[case(r#""\ud800\ue000""#, "\u{fffd}")]
    #[case(r#""\ud800x""#, "\u{fffd}x")]
    #[case(r#""\udc00""#, "\u{fffd}")]
    fn half_a_character_is_replaced(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Document::parse(text.as_bytes()).unwrap().string(0), Some(expected));
    }

    #[test]
    fn templates_may_be_lenient() {
        let text = "{ // note\n 'a': [1, 2,], /* more */ b: 'x', }";
        let document = Document::parse_lenient(text.as_bytes()).unwrap();
        assert_eq!(document.to_json(0), serde_json::json!({"a": [1, 2], "b": "x"}));
        assert_eq!(document.place(document.member(0, "b").unwrap()), (2, 30));
    }

    #[test]
    fn the_next_document_has_the_list_of_the_last() {
        let of = |text: &'static str| Document::parse(text.as_bytes()).unwrap();
        let (first, place) = (of("[1, 2, 3]"), |document: &Document<'_>| {
            document.nodes.as_ptr().addr()
        });
        let before = place(&first);
        first.recycle();
        let next = of("[4]");
        assert_eq!(place(&next), before);
        assert_eq!(next.to_json(0), serde_json::json!([4]));
    }

    #[test]
    fn an_error_has_a_place() {
        let error = Document::parse(b"{\n  \"a\": oops\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 8));
        assert!(Document::parse(&[b'['; 1000]).unwrap_err().problem.contains("deeply"));
    }

    #[test]
    fn an_envelope_is_an_object_with_the_body() {
        let of = |body: &'static str, context| {
            Document::envelope(body.as_bytes(), context).map(|document| document.to_json(0))
        };
        let context = r#"{"Properties": {"a": "1"}, "SystemProperties": {}}"#;
        let expected = serde_json::json!({"Body": [1], "Properties": {"a": "1"}, "SystemProperties": {}});
        assert_eq!(of("[1]", context), Ok(expected));
        assert_eq!(of(" ", "{}"), Ok(serde_json::json!({"Body": null})));
        assert_eq!(of("{}", ""), Ok(serde_json::json!({"Body": {}})));
        let error = of("{\"a\": 1}, \"SystemProperties\": {}", context).unwrap_err();
        assert_eq!((error.line, error.column), (1, 9));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}:,\"'0-9a-u\\\\ .+-]{0,60}") {
            let _ = Document::parse(text.as_bytes());
            let _ = Document::parse_lenient(text.as_bytes());
        }
    }
}
