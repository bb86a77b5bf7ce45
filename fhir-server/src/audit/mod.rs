//! Who did what: one line for each request, refusals too, with the fields of Azure's audit log. No line holds a query's
//! values, a body or a name from the data.
//!
//! A line is handed over after the answer is made and written by a thread of its own. Lines that wait are bounded. Where
//! the place that they go to is slower than the requests, answers wait for a place among them, for a second; a line that
//! finds none even then, or that can't be written, is counted (`audit_lines_lost`) and the log says so.

mod custom;
mod writer;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use fhir_resource::temporal;
use http::{Method, StatusCode, Uri};

pub use custom::Custom;
pub use writer::{Audit, AuditError};

use crate::access::Identity;
use crate::http::json::Json;

/// Longest part of a path that is repeated.
const PATH: usize = 512;

/// What a line says.
pub struct Record<'a> {
    /// When the request came.
    pub at: SystemTime,
    /// How long the answer took.
    pub took: Duration,
    /// Who asked, if they are known.
    pub identity: Option<&'a Identity>,
    /// From where.
    pub peer: Option<SocketAddr>,
    /// The answer's `X-Request-Id`.
    pub request_id: &'a str,
    /// What the client calls this request.
    pub correlation_id: Option<&'a str>,
    /// What was done.
    pub operation: &'static str,
    /// To which type.
    pub resource_type: Option<&'static str>,
    /// The method.
    pub method: &'a Method,
    /// Where.
    pub uri: &'a Uri,
    /// How it ended.
    pub status: StatusCode,
    /// What the client wants to be in the line.
    pub custom: &'a Custom,
}

impl Record<'_> {
    /// As a line of JSON.
    pub fn line(&self) -> Vec<u8> {
        let micros = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        };
        let mut json = Json::with_capacity(512);
        json.object(|json| {
            json.member("time", &temporal::instant(micros(self.at)));
            json.member("logCategory", "AuditLogs");
            json.member("operationName", self.operation);
            if let Some(of) = self.resource_type {
                json.member("fhirResourceType", of);
            }
            let failed = self.status.is_client_error() || self.status.is_server_error();
            json.member("resultType", if failed { "Failed" } else { "Succeeded" });
            json.number("statusCode", u64::from(self.status.as_u16()));
            json.number("operationDuration", self.took.as_secs());
            json.number("durationMs", u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX));
            json.member("method", self.method.as_str());
            json.member("requestUri", &uri(self.uri));
            if let Some(peer) = self.peer {
                json.member("callerIPAddress", &peer.ip().to_string());
            }
            if let Some(identity) = self.identity {
                json.member("callerIdentityIssuer", &identity.issuer);
                if let Some(object) = &identity.object {
                    json.member("callerIdentityObjectId", object);
                }
                json.name("callerIdentity").object(|json| {
                    for (name, value) in &identity.claims {
                        json.member(name, value);
                    }
                });
            }
            json.member("correlationId", self.correlation_id.unwrap_or(self.request_id));
            json.member("requestId", self.request_id);
            if !self.custom.is_empty() {
                json.name("properties").object(|json| {
                    for (name, value) in self.custom.iter() {
                        json.member(name, value);
                    }
                });
            }
        });
        let mut line = json.finish();
        line.push(b'\n');
        line
    }
}

/// The path, and the names of the query's parameters without their values.
fn uri(uri: &Uri) -> String {
    let mut text: String = uri.path().chars().take(PATH).collect();
    let names = uri.query().unwrap_or_default().split('&');
    let names = names.map(|pair| pair.split('=').next().unwrap_or_default());
    for (index, name) in names.filter(|name| !name.is_empty()).take(64).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.extend(name.chars().take(64));
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/Patient?name=Smith&birthdate=1970-01-01&name=x", "/Patient?name&birthdate&name")]
    #[case("/Patient/1/_history", "/Patient/1/_history")]
    #[case("/?_type=Patient&", "/?_type")]
    fn values_are_left_out(#[case] written: &str, #[case] expected: &str) {
        assert_eq!(uri(&written.parse().expect("a URI")), expected);
    }
}
