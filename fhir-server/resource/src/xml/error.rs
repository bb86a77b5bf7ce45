//! Why some XML is no resource, or a resource can't be XML, and where.

use thiserror::Error;

/// Why some bytes are no FHIR resource in XML.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadProblem {
    /// Nothing but whitespace, comments and processing instructions.
    #[error("the body is empty")]
    Empty,
    /// More bytes than [`Limits::bytes`](crate::Limits).
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// Deeper than [`Limits::depth`](crate::Limits), counted as the JSON of the same resource would be.
    #[error("elements nest deeper than {0}")]
    TooDeep(usize),
    /// Not UTF-8, or another encoding is declared.
    #[error("the body must be UTF-8")]
    Utf8,
    /// A document type declaration: FHIR has none, and entities are not expanded.
    #[error("document type declarations are not allowed, leave `<!DOCTYPE …>` out")]
    Doctype,
    /// An entity beyond the five of XML, or a character reference to no character of XML.
    #[error("`&{0};` is neither a character reference nor one of `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;`")]
    Entity(String),
    /// A character that XML 1.0 doesn't have.
    #[error("the character U+{0:04X} is not allowed in XML")]
    Character(u32),
    /// Not well-formed.
    #[error("{0}")]
    Syntax(String),
    /// A name with a prefix that nothing declares.
    #[error("the prefix `{0}` is not declared")]
    Prefix(String),
    /// More attributes, or more namespaces in scope, than any resource needs.
    #[error("an element has more than {0} attributes or namespaces")]
    TooManyAttributes(usize),
    /// An instruction inside the resource.
    #[error("processing instructions are not allowed in a resource")]
    Instruction,
    /// Another element after the resource.
    #[error("unexpected content after the resource")]
    Trailing,
    /// An element that is in the wrong namespace.
    #[error("the element `{name}` must be in the namespace `{namespace}`")]
    Namespace {
        /// Its name without prefix.
        name: String,
        /// Where it belongs.
        namespace: &'static str,
    },
    /// A resource type that the FHIR version doesn't have.
    #[error("Resource type '{0}' is not supported.")]
    UnknownType(String),
    /// An element that the type doesn't have.
    #[error("Encountered unknown element '{0}' while parsing.")]
    UnknownElement(String),
    /// An attribute that the element doesn't have.
    #[error("Encountered unknown attribute '{0}' while parsing.")]
    UnknownAttribute(String),
    /// Words where only elements may be.
    #[error("text is not allowed here, values are written as the attribute `value`")]
    Text,
    /// An element in the wrong place.
    #[error("the element `{name}` must come before `{after}`")]
    Order {
        /// Which.
        name: &'static str,
        /// What stands before it.
        after: &'static str,
    },
    /// A second element where one is allowed.
    #[error("the element `{0}` can't repeat")]
    Repeated(&'static str),
    /// Two alternatives of one choice.
    #[error("`{0}` and `{1}` exclude each other: only one may be present")]
    Choice(&'static str, &'static str),
    /// Neither value nor content.
    #[error("the element `{0}` is empty, leave it out or give it content")]
    Nothing(String),
    /// An element that must hold one resource, and holds none or several.
    #[error("the element `{0}` must hold exactly one resource")]
    OneResource(&'static str),
    /// A value that JSON can't have for its type.
    #[error("Literal '{text}' is not in a correct format for `{type_name}`.")]
    Literal {
        /// Such as `boolean`.
        type_name: &'static str,
        /// The beginning of what was given.
        text: String,
    },
}

/// Where and why reading stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid XML at line {line}, position {column}: {problem}{}", within(.path))]
pub struct ReadError {
    /// What is wrong.
    pub problem: ReadProblem,
    /// Byte offset.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Byte position in the line, from 1.
    pub column: usize,
    /// FHIRPath of the element that could not be read, such as `Patient.name[0].family`; empty at the top.
    pub path: String,
}

impl ReadError {
    pub(super) fn at(problem: ReadProblem, text: &[u8], offset: usize, path: String) -> Self {
        let offset = offset.min(text.len());
        let before = &text[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            problem,
            offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            path,
        }
    }
}

/// A problem at a byte offset, until the path is known.
#[derive(Debug)]
pub(super) struct Located {
    pub problem: ReadProblem,
    pub offset: usize,
}

impl ReadProblem {
    pub(super) fn at(self, offset: usize) -> Located {
        Located { problem: self, offset }
    }
}

/// Why a resource has no XML.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteProblem {
    /// A character that XML 1.0 doesn't have, not even as a reference.
    #[error("the character U+{0:04X} can't be written in XML")]
    Character(u32),
    /// A member that the tables don't know.
    #[error("the element `{0}` is unknown")]
    UnknownElement(String),
    /// No `resourceType`, or one that the FHIR version doesn't have.
    #[error("a resource must have a known `resourceType`")]
    NoResource,
    /// No JSON.
    #[error("{0}")]
    Json(String),
    /// JSON of another shape than the element has.
    #[error("{0} is not expected here")]
    Shape(&'static str),
}

/// Where and why writing stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}{}", within(.path))]
pub struct WriteError {
    /// What is wrong.
    pub problem: WriteProblem,
    /// FHIRPath of the element.
    pub path: String,
}

impl WriteError {
    pub(super) fn at_top(problem: WriteProblem) -> Self {
        Self {
            problem,
            path: String::new(),
        }
    }
}

fn within(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" (in `{path}`)")
    }
}

/// The beginning of a hostile text.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
