//! JSONPath in the dialect of Newtonsoft.Json, which Azure's mappings are written in.
//!
//! What differs from RFC 9535: a scan tests the start token too (`$..[?(@a)]` finds the root), a member needs no dot after
//! `@`, names end at `. [ ( ] )` or a space only, `( … )` is an indexer, and in a filter a change between `&&` and `||`
//! nests to the right (`a && b || c` is `a && (b || c)`).

mod compare;
mod evaluate;
mod missing;
mod mixed;
mod parse;
mod query;
mod scan;

use compare::Number;
use fancy_regex::Regex;

pub use evaluate::Scope;
pub use parse::PathError;
pub use scan::{Scanned, Scans};

/// A compiled path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    segments: Vec<Segment>,
    text: String,
}

impl Path {
    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
enum Segment {
    /// `.name`, `['name']`; `None` is `.*`.
    Member(Option<String>),
    /// `['a', 'b']`
    Members(Vec<String>),
    /// `..name`; `None` is `..*`.
    Scan(Option<String>),
    /// `..['a', 'b']`
    ScanMembers(Vec<String>),
    /// `[0]`, `[0, 1]`; none is `[*]`.
    Indexes(Vec<usize>),
    /// `[start:end:step]`
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    /// `[?(…)]`
    Filter(Condition),
    /// `..[?(…)]`
    ScanFilter(Condition),
}

/// A filter's condition.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Exists(Operand),
    Compare(Operand, Operator, Operand),
    Matches(Operand, Pattern),
}

/// A compiled regular expression of a filter (`=~ /re/i`).
#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        // One that takes too many steps back and forth matches nothing.
        self.regex.is_match(text).unwrap_or_default()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    /// From the tested token.
    Current(Vec<Segment>),
    /// From the root.
    Root(Vec<Segment>),
    Literal(Literal),
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    StrictEqual,
    StrictNotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
