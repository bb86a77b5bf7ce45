//! One interaction as it is asked for, whether it came as a request of its own or as an entry of a bundle.

use std::sync::Arc;

use fhir_resource::{Document, Node};
use http::{HeaderMap, HeaderName, Method, header};

use super::failure::Result;
use super::negotiation::{Prefer, Wanted};
use crate::access::Principal;

const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// Decoded name and value pairs, in order.
pub type Pairs = Vec<(String, String)>;

/// Headers (or members of `Bundle.entry.request`) that make an interaction conditional.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "they are the headers' own names")]
pub struct Conditions {
    /// `If-Match`
    pub if_match: Option<String>,
    /// `If-None-Match`
    pub if_none_match: Option<String>,
    /// `If-None-Exist`
    pub if_none_exist: Option<String>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<String>,
}

impl Conditions {
    /// Reads them from headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        Self {
            if_match: text(&header::IF_MATCH),
            if_none_match: text(&header::IF_NONE_MATCH),
            if_none_exist: text(&IF_NONE_EXIST),
            if_modified_since: text(&header::IF_MODIFIED_SINCE),
        }
    }
}

/// What is asked.
#[derive(Clone)]
pub struct Call<'a> {
    /// The method; HEAD counts as GET.
    pub method: Method,
    /// Decoded segments of the path below the base.
    pub path: Vec<String>,
    /// The query, with the fields of a form after it.
    pub query: Pairs,
    /// Conditions on what is there.
    pub conditions: Conditions,
    /// Preferences.
    pub prefer: Prefer,
    /// What the answer shall look like; an entry of a bundle is JSON until all of it is written.
    pub wanted: Wanted,
    /// The base URL as this client sees it, without a final slash.
    pub base: Arc<str>,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// The resource that was sent.
    pub resource: Option<Node<'a>>,
    /// The Provenance that was sent with it (`X-Provenance`).
    pub provenance: Option<&'a Document>,
}

impl Call<'_> {
    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether one of these parameters is `true`.
    pub fn flag(&self, names: &[&str]) -> bool {
        names.iter().any(|name| {
            self.parameter(name)
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        })
    }
}

/// The parameter of a page's place (Microsoft's name).
pub const CURSOR: &str = "ct";
/// The operation that shows what else a page includes.
pub const INCLUDES: &str = "$includes";

impl Call<'_> {
    /// The path of the search whose pages are shown.
    pub fn searched(&self) -> impl Iterator<Item = &str> {
        let segments = self.path.iter().map(String::as_str);
        segments.filter(|segment| *segment != "_search" && *segment != INCLUDES)
    }

    /// What places of pages are bound to: the path, these parameters, and who asks.
    pub fn bound<'p>(&self, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
        let path: Vec<&str> = self.searched().collect();
        let query = query_string(pairs);
        format!("{}?{query}\n{}", path.join("/"), self.principal.fingerprint())
    }

    /// The URL that says the same with these parameters, and where a page begins.
    pub fn url<'p>(&self, pairs: impl Iterator<Item = &'p (String, String)>, cursor: Option<&'p str>) -> String {
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        let query = query_string(pairs.chain(cursor.map(|cursor| (CURSOR, cursor))));
        let path = self.path.iter().filter(|segment| *segment != "_search");
        url(&self.base, path.map(String::as_str), &query)
    }
}

/// Splits and decodes a path.
pub fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| decode(segment, false))
        .collect()
}

/// Splits and decodes a query string or a form.
pub fn pairs(query: &str) -> Pairs {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name, true), decode(value, true)))
        .collect()
}

/// Percent-decoding; what is no valid escape stays, and bytes that aren't UTF-8 are replaced.
fn decode(text: &str, plus_is_blank: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let escape = escape.filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (first, escape.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) if plus_is_blank => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Percent-encodes a value for the query of a link.
pub fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/|,$*@!()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// A URL below a base; an empty query is left out.
pub fn url<'p>(base: &str, path: impl Iterator<Item = &'p str>, query: &str) -> String {
    let mut url = base.to_owned();
    for segment in path {
        url.push('/');
        url.push_str(segment);
    }
    if !query.is_empty() {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// Pairs as a query string.
pub fn query_string<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let parts: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    parts.join("&")
}

/// The weak `ETag` of a version.
pub fn etag(version: u32) -> String {
    format!("W/\"{version}\"")
}

/// The version that an `ETag` of `If-Match` names. Only weak ones are taken, as Microsoft's server does.
pub fn version_of_etag(etag: &str) -> Result<u32> {
    let inside = etag.trim().strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"'));
    let version = inside.and_then(|text| text.parse().ok());
    version
        .ok_or_else(|| super::failure::Failure::invalid(format!("WeakETag '{etag}' must be in the weak ETag format.")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a=b&c=d%20e+f&g", &[("a", "b"), ("c", "d e f"), ("g", "")])]
    #[case("%3Cscript%3E=%zz&&x=%", &[("<script>", "%zz"), ("x", "%")])]
    #[case("n=%ff", &[("n", "\u{fffd}")])]
    fn queries(#[case] query: &str, #[case] expected: &[(&str, &str)]) {
        let found = pairs(query);
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
        let again = pairs(&query_string(found.iter().copied()));
        assert_eq!(again, pairs(query));
    }

    #[rstest]
    #[case("W/\"12\"", Some(12))]
    #[case("\"12\"", None)]
    #[case("W/\"-1\"", None)]
    #[case("12", None)]
    fn etags(#[case] text: &str, #[case] version: Option<u32>) {
        assert_eq!(version_of_etag(text).ok(), version);
    }
}
