//! What an interaction answers, before it is an HTTP response or an entry of a bundle.

use fhir_resource::Micros;
use http::StatusCode;

use super::call::etag;
use super::failure::{Failure, OutcomeIssue, outcome};

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON; empty for none.
    pub body: Vec<u8>,
    /// The `Content-Type` of a body that is no resource, and goes as it is.
    pub foreign: Option<&'static str>,
    /// Whether the body is an OperationOutcome that tells how it went, instead of what was asked for.
    pub tells: bool,
    /// `ETag`, as a version.
    pub version: Option<u32>,
    /// `Last-Modified`
    pub last_modified: Option<Micros>,
    /// `Location`
    pub location: Option<String>,
    /// `Content-Location`
    pub content_location: Option<String>,
    /// `Allow`
    pub allow: Option<String>,
    /// `Items-Deleted`
    pub deleted: Option<usize>,
}

impl Reply {
    /// 200 with a body.
    pub fn ok(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            ..Self::default()
        }
    }

    /// A status alone.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// An answer that is an OperationOutcome with one good message.
    pub fn informs(self, diagnostics: &str) -> Self {
        Self {
            body: outcome([&OutcomeIssue::information(diagnostics)]),
            tells: true,
            ..self
        }
    }

    /// `ETag`, as it is sent.
    pub fn etag(&self) -> Option<String> {
        self.version.map(etag)
    }
}

impl From<&Failure> for Reply {
    fn from(failure: &Failure) -> Self {
        Self {
            status: failure.status,
            body: failure.body(),
            tells: true,
            version: failure.version,
            allow: failure.allow.clone(),
            ..Self::default()
        }
    }
}

/// A time as HTTP writes it: `Sat, 07 Feb 2015 18:28:17 GMT`.
pub fn http_date(micros: Micros) -> String {
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&moment)
        .unwrap_or_default()
}

/// Reads a time as HTTP writes it, to the second.
pub fn parse_http_date(text: &str) -> Option<Micros> {
    let moment = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(moment.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back() {
        let micros = 1_423_333_697_000_000;
        assert_eq!(http_date(micros), "Sat, 07 Feb 2015 18:28:17 GMT");
        assert_eq!(parse_http_date(&http_date(micros)), Some(micros));
        assert_eq!(parse_http_date("tomorrow"), None);
    }
}
