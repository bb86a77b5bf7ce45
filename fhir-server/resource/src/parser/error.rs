//! Why a text is no document, and where.

use thiserror::Error;

/// Why some bytes are no acceptable JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseProblem {
    /// Nothing but whitespace.
    #[error("the body is empty")]
    Empty,
    /// More bytes than [`Limits::bytes`].
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// Deeper than [`Limits::depth`].
    #[error("objects and arrays nest deeper than {0}")]
    TooDeep(usize),
    /// Not UTF-8.
    #[error("the body is not valid UTF-8")]
    Utf8,
    /// The input ended within a value.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// Something else than what the grammar asks for here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A second member of the same name.
    #[error("duplicate member name")]
    DuplicateName,
    /// A control character inside a string.
    #[error("control characters in strings must be escaped")]
    ControlCharacter,
    /// An unknown escape or an unpaired surrogate.
    #[error("invalid escape in a string")]
    Escape,
    /// A number that JSON doesn't allow, such as `01` or `1.`.
    #[error("invalid number")]
    Number,
    /// Text after the value.
    #[error("unexpected text after the document")]
    Trailing,
}

/// Where and why parsing stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid JSON at line {line}, position {column}: {problem}{}", within(.path))]
pub struct ParseError {
    /// What is wrong.
    pub problem: ParseProblem,
    /// Byte offset.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Byte position in the line, from 1.
    pub column: usize,
    /// Path of the value that could not be read, such as `name[0].family`; empty at the top.
    pub path: String,
}

fn within(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" (in `{path}`)")
    }
}

impl ParseError {
    /// The error of a whole text; the path is added by who knows it.
    pub(super) fn top(problem: ParseProblem, text: &[u8], offset: usize) -> Self {
        let offset = offset.min(text.len());
        let before = &text[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        ParseError {
            problem,
            offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            path: String::new(),
        }
    }
}
