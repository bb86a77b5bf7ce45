//! Every refusal is an OperationOutcome: status, issue code, what to do, and the FHIRPath where there is one. The words are
//! those of Microsoft's FHIR server wherever clients may show them.

use fhir_resource::validation::Issue;
use fhir_resource::{ParseError, xml};
use http::StatusCode;

use super::json::Json;

/// Microsoft's rule for ids, as it is answered.
pub const ID_REQUIREMENTS: &str = "Id must be any combination of upper or lower case ASCII letters ('A'..'Z', and 'a'..'z'), \
    numerals ('0'..'9'), '-' and '.', with a length limit of 64 characters. (This might be an integer, an un-prefixed OID, \
    UUID, or any other identifier pattern that meets these constraints.)";

/// One issue of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeIssue {
    /// `error`, `warning` or `information`.
    pub severity: &'static str,
    /// Issue type.
    pub code: &'static str,
    /// For people.
    pub diagnostics: String,
    /// FHIRPath of the element; may be empty.
    pub expression: String,
}

impl OutcomeIssue {
    /// What validation found.
    pub fn of(issue: &Issue) -> Self {
        Self {
            severity: issue.severity.code(),
            code: issue.code,
            diagnostics: issue.diagnostics.clone(),
            expression: issue.expression.clone(),
        }
    }

    /// A warning about the request as a whole.
    pub fn warning(code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self {
            severity: "warning",
            code,
            diagnostics: diagnostics.into(),
            expression: String::new(),
        }
    }

    /// Good news.
    pub fn information(diagnostics: impl Into<String>) -> Self {
        Self {
            severity: "information",
            code: "informational",
            diagnostics: diagnostics.into(),
            expression: String::new(),
        }
    }
}

/// An OperationOutcome with these issues.
pub fn outcome<'i>(issues: impl IntoIterator<Item = &'i OutcomeIssue>) -> Vec<u8> {
    let mut json = Json::with_capacity(256);
    json.object(|json| {
        json.member("resourceType", "OperationOutcome")
            .member("id", &uuid::Uuid::new_v4().to_string());
        json.name("issue").array(|json| {
            for issue in issues {
                json.object(|json| {
                    json.member("severity", issue.severity).member("code", issue.code);
                    json.member("diagnostics", &issue.diagnostics);
                    if !issue.expression.is_empty() {
                        json.name("expression").array(|json| {
                            json.text(&issue.expression);
                        });
                    }
                });
            }
        });
    });
    json.finish()
}

/// A refusal, or a failure of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: StatusCode,
    /// At least one.
    pub issues: Vec<OutcomeIssue>,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u32>,
    /// Methods that the path has, for 405.
    pub allow: Option<String>,
    /// `WWW-Authenticate`, for 401.
    pub challenge: Option<String>,
    /// The version that is gone, for 410.
    pub version: Option<u32>,
}

/// What an interaction comes to.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A refusal with one issue.
    pub fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<String>) -> Self {
        let diagnostics = diagnostics.into();
        let issue = OutcomeIssue {
            severity: "error",
            code,
            diagnostics,
            expression: String::new(),
        };
        Self {
            status,
            issues: vec![issue],
            retry_after: None,
            allow: None,
            challenge: None,
            version: None,
        }
    }

    /// 400 `invalid`.
    pub fn invalid(diagnostics: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", diagnostics)
    }

    /// 404 for a type that isn't served.
    pub fn unknown_type(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("Resource type '{name}' is not supported."),
        )
    }

    /// 404 for a path that is none of FHIR's.
    pub fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "The requested route was not found.")
    }

    /// The same for an entry of a bundle, whose `url` a message must name.
    #[must_use]
    pub fn of_route(self, url: &str) -> Self {
        if self.issues == Self::unknown_route().issues {
            let url = url.trim_start_matches('/');
            return Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                format!("The route for \"/{url}\" was not found."),
            );
        }
        self
    }

    /// 404 for a resource.
    pub fn not_found(type_name: &str, id: &str) -> Self {
        let text = format!("Resource type '{type_name}' with id '{id}' couldn't be found.");
        Self::new(StatusCode::NOT_FOUND, "not-found", text)
    }

    /// 404 for a version of a resource.
    pub fn version_not_found(type_name: &str, id: &str, version: &str) -> Self {
        let text = format!("Resource type '{type_name}' with id '{id}' and version '{version}' couldn't be found.");
        Self::new(StatusCode::NOT_FOUND, "not-found", text)
    }

    /// 410 for a resource that was deleted in `version`.
    pub fn gone(type_name: &str, id: &str, version: u32) -> Self {
        let text = format!("Resource type '{type_name}' with id '{id}' couldn't be found.");
        Self {
            version: Some(version),
            ..Self::new(StatusCode::GONE, "deleted", text)
        }
    }

    /// 405, where other methods are allowed.
    pub fn method_not_allowed(allow: String) -> Self {
        let text = "The requested action is not allowed.";
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text)
        }
    }

    /// A 405 that says what the path has, if it doesn't yet: it is what was sent that isn't taken.
    #[must_use]
    pub fn or_allow(self, allow: impl FnOnce() -> Option<String>) -> Self {
        Self {
            allow: self.allow.or_else(allow),
            ..self
        }
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Authorization failed.")
    }

    /// 401 with what the client should send.
    pub fn unauthenticated(challenge: String) -> Self {
        let failure = Self::new(StatusCode::UNAUTHORIZED, "login", "Authentication failed.");
        Self {
            challenge: Some(challenge),
            ..failure
        }
    }

    /// The request took longer than it may.
    pub fn too_costly() -> Self {
        let text = "The operation was stopped due to the underlying request being too resource intensive. If possible, try \
                    narrowing or changing the criteria.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-costly", text)
    }

    /// 429, to be tried again.
    pub fn throttled() -> Self {
        let text = "The maximum number of concurrent API calls on this instance was reached.";
        let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "throttled", text);
        Self {
            retry_after: Some(1),
            ..failure
        }
    }

    /// 503, to be tried again.
    pub fn unavailable(diagnostics: impl Into<String>) -> Self {
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "transient", diagnostics);
        Self {
            retry_after: Some(1),
            ..failure
        }
    }

    /// 500; what happened stands in the log alone.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %daemon::process::describe(cause), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "exception",
            "There was an error processing your request.",
        )
    }

    /// 400 for what validation refused, with its warnings.
    pub fn of_issues(issues: &[Issue]) -> Self {
        Self {
            issues: issues.iter().map(OutcomeIssue::of).collect(),
            ..Self::invalid("")
        }
    }

    /// The OperationOutcome.
    pub fn body(&self) -> Vec<u8> {
        outcome(&self.issues)
    }
}

impl From<xml::ReadError> for Failure {
    fn from(error: xml::ReadError) -> Self {
        let mut failure = Failure::new(StatusCode::BAD_REQUEST, "structure", error.to_string());
        if let Some(issue) = failure.issues.first_mut() {
            issue.expression = error.path;
        }
        failure
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        let mut failure = Failure::new(StatusCode::BAD_REQUEST, "structure", error.to_string());
        if let Some(issue) = failure.issues.first_mut() {
            issue.expression = error.path;
        }
        failure
    }
}
