//! What device and FHIR templates have in common when they are loaded: containers, members, errors with their places.

use std::fmt;

use thiserror::Error;

use crate::json::{Document, Id, JsonError, Value};

/// Whose decisions hold where iomt-fhir, its documents and good sense differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// Errors stay with their template, values are kept as they are.
    #[default]
    Standard,
    /// As iomt-fhir.
    Upstream,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem} ({path}, line {line}, position {position})")]
pub struct TemplateError {
    /// JSON path, from the mapping's root.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// Bytes from the beginning of the line, counted from 1.
    pub position: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a template. The texts are those that Azure's users know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// The text can't be parsed.
    #[error("the mapping isn't JSON: {0}")]
    NotJson(String),
    /// A wrong template type at the root.
    #[error("Expected TemplateType value {expected}Template, actual {actual}.")]
    RootType {
        /// What the root has to be.
        expected: &'static str,
        /// What it is.
        actual: String,
    },
    /// The root's `template` isn't a list.
    #[error("Expected an array for the template property value for template type {0}Template.")]
    NotAList(&'static str),
    /// An inner template of an unknown type.
    #[error("No match found for template type {0}.")]
    UnknownType(String),
    /// A member that has to be there.
    #[error("Required property '{0}' not found in JSON.")]
    Missing(&'static str),
    /// A member that may not be there.
    #[error("Could not find member '{member}' on object of type '{kind}'.")]
    UnknownMember {
        /// Its name.
        member: String,
        /// What it is in.
        kind: &'static str,
    },
    /// A member of the wrong kind.
    #[error("'{member}' has to be {expected}.")]
    WrongKind {
        /// Its name.
        member: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// An expression that can't be compiled.
    #[error("{0}")]
    Expression(String),
    /// An expression that is empty.
    #[error("An expression must be set for [{0}]")]
    EmptyExpression(&'static str),
    /// A second FHIR template of a type name.
    #[error("Duplicate template defined for type name: {0}")]
    Duplicate(String),
    /// Anything else that a value may not be.
    #[error("{0}")]
    Refused(String),
}

impl TemplateError {
    /// The text isn't JSON.
    pub(crate) fn not_json(error: &JsonError) -> Self {
        Self {
            path: "$".to_owned(),
            line: error.line,
            position: error.column,
            problem: Problem::NotJson(error.problem.to_owned()),
        }
    }
}

/// A place in a mapping that is being loaded, and the errors found so far.
pub(crate) struct Loader<'d> {
    pub(crate) document: &'d Document<'d>,
    pub(crate) errors: Vec<TemplateError>,
}

impl<'d> Loader<'d> {
    pub(crate) fn new(document: &'d Document<'d>) -> Self {
        Self {
            document,
            errors: Vec::new(),
        }
    }

    pub(crate) fn refuse(&mut self, id: Id, path: impl fmt::Display, problem: Problem) {
        let (line, position) = self.document.place(id);
        self.errors.push(TemplateError {
            path: path.to_string(),
            line,
            position,
            problem,
        });
    }

    /// What is wrong with a member, at its place.
    pub(crate) fn refuse_member(&mut self, object: Id, path: &str, member: &str, problem: Problem) {
        let id = self.document.member_any_case(object, member).unwrap_or(object);
        self.refuse(id, format_args!("{path}.{member}"), problem);
    }

    /// What was found, in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<TemplateError> {
        self.errors.sort_by_key(|error| (error.line, error.position));
        self.errors
    }

    /// The inner templates of a collection: `{templateType, template: [{templateType, template}, …]}`.
    pub(crate) fn collection(&mut self, expected: &'static str) -> Vec<Inner> {
        let document = self.document;
        let kind = document.member_any_case(0, "templateType");
        let actual = kind.and_then(|id| document.string(id)).unwrap_or_default();
        if !is_type(actual, expected) {
            self.refuse(
                kind.unwrap_or(0),
                "$.templateType",
                Problem::RootType {
                    expected,
                    actual: actual.to_owned(),
                },
            );
            return Vec::new();
        }
        let template = document.member_any_case(0, "template");
        let Some(list) = template.filter(|id| *document.value(*id) == Value::Array) else {
            self.refuse(template.unwrap_or(0), "$.template", Problem::NotAList(expected));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, container) in document.children(list).enumerate() {
            let path = format!("$.template[{index}]");
            let kind = document
                .member_any_case(container, "templateType")
                .and_then(|id| document.string(id));
            let template = document.member_any_case(container, "template");
            match (kind, template) {
                (None, _) => self.refuse(container, path, Problem::Missing("TemplateType")),
                (_, None) => self.refuse(container, path, Problem::Missing("Template")),
                (Some(kind), Some(template)) => {
                    found.push(Inner {
                        kind: kind.to_owned(),
                        id: template,
                        path: format!("{path}.template"),
                    });
                }
            }
        }
        found
    }

    /// A member that is a text with something in it.
    pub(crate) fn text(&mut self, object: Id, path: &str, member: Member) -> Option<String> {
        let found = self.document.member_any_case(object, member.name);
        match found.map(|id| (id, self.document.value(id))) {
            None | Some((_, Value::Null)) => {
                if member.required {
                    self.refuse(object, path, Problem::Missing(member.title));
                }
                None
            }
            Some((_, Value::String(text))) => Some(text.to_string()),
            Some((_, Value::Number(text))) => Some((*text).to_owned()),
            Some((id, _)) => {
                let problem = Problem::WrongKind {
                    member: member.title.to_owned(),
                    expected: "a text",
                };
                self.refuse(id, format!("{path}.{}", member.name), problem);
                None
            }
        }
    }

    /// Refuses members that aren't known.
    pub(crate) fn only(&mut self, object: Id, path: &str, kind: &'static str, known: &[&str]) {
        let document = self.document;
        for child in document.children(object) {
            let name = document.key(child).unwrap_or_default();
            if !known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let problem = Problem::UnknownMember {
                    member: name.to_owned(),
                    kind,
                };
                self.refuse(child, format!("{path}.{name}"), problem);
            }
        }
    }

    /// The elements of a list that may be missing.
    pub(crate) fn list(&mut self, object: Id, path: &str, name: &'static str) -> Vec<(Id, String)> {
        let document = self.document;
        let Some(list) = document.member_any_case(object, name) else {
            return Vec::new();
        };
        match document.value(list) {
            Value::Array => document
                .children(list)
                .enumerate()
                .map(|(index, id)| (id, format!("{path}.{name}[{index}]")))
                .collect(),
            Value::Null => Vec::new(),
            _ => {
                let problem = Problem::WrongKind {
                    member: name.to_owned(),
                    expected: "a list",
                };
                self.refuse(list, format!("{path}.{name}"), problem);
                Vec::new()
            }
        }
    }
}

/// A template in a collection.
pub(crate) struct Inner {
    pub(crate) kind: String,
    pub(crate) id: Id,
    pub(crate) path: String,
}

/// A member's name in JSON, its name in messages, and whether it has to be there.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) required: bool,
}

impl Member {
    pub(crate) const fn required(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            required: true,
        }
    }

    pub(crate) const fn optional(name: &'static str, title: &'static str) -> Self {
        Self {
            name,
            title,
            required: false,
        }
    }
}

/// Type names match without regard to case, with or without the ending `Template`.
pub(crate) fn is_type(actual: &str, expected: &str) -> bool {
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_suffix("template").map(str::to_owned).unwrap_or(name)
    };
    plain(actual) == plain(expected)
}
