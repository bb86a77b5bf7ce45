//! Which format a request has and which it wants: `Content-Type`, `Accept`, `_format`, `_pretty`, `Prefer`.

use http::{HeaderMap, StatusCode, header};

use super::failure::{Failure, Result};

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaType {
    /// `application/fhir+json`
    #[default]
    FhirJson,
    /// `application/json`
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            MediaType::FhirJson => "application/fhir+json; charset=utf-8",
            MediaType::Json => "application/json; charset=utf-8",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "application/fhir+json" | "application/json+fhir" | "json" | "*/*" | "application/*" => {
                Some(Self::FhirJson)
            }
            "application/json" | "text/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What the answer shall look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Its media type.
    pub media_type: MediaType,
    /// Whether it is for people.
    pub pretty: bool,
}

impl Wanted {
    /// Reads `_format` and `_pretty` of `query`, then `Accept`.
    pub fn of(headers: &HeaderMap, query: &[(String, String)]) -> Result<Self> {
        let parameter = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let pretty = match parameter("_pretty") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Failure::invalid(format!(
                    "The '_pretty' parameter value '{other}' is not a valid boolean."
                )));
            }
        };
        let media_type = match parameter("_format") {
            Some(format) => {
                // A plus sign in a query is a blank.
                let format = format.split(';').next().unwrap_or(format).trim().replace(' ', "+");
                MediaType::named(&format).ok_or_else(not_acceptable)?
            }
            None => accepted(headers)?,
        };
        Ok(Self { media_type, pretty })
    }
}

fn not_acceptable() -> Failure {
    let text = "The requested format is not supported, use `application/fhir+json`.";
    Failure::new(StatusCode::NOT_ACCEPTABLE, "not-supported", text)
}

/// The best of what `Accept` lists, by weight and then by order.
fn accepted(headers: &HeaderMap) -> Result<MediaType> {
    let mut best: Option<(f32, MediaType)> = None;
    let mut listed = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value
            .to_str()
            .unwrap_or_default()
            .split(',')
            .filter(|range| !range.trim().is_empty())
        {
            listed = true;
            let mut parts = range.split(';');
            let Some(media_type) = parts.next().and_then(MediaType::named) else {
                continue;
            };
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(heaviest, _)| weight > heaviest) {
                best = Some((weight, media_type));
            }
        }
    }
    match best {
        Some((_, media_type)) => Ok(media_type),
        None if listed => Err(not_acceptable()),
        None => Ok(MediaType::default()),
    }
}

/// The media type of the body, without its parameters.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Whether the body is a JSON Patch; refuses what is neither one nor FHIR in JSON.
pub fn require_patch(headers: &HeaderMap) -> Result<bool> {
    if content_type(headers).as_deref() == Some("application/json-patch+json") {
        return Ok(true);
    }
    require_json(headers).map(|()| false)
}

/// Refuses a body that isn't FHIR in JSON.
pub fn require_json(headers: &HeaderMap) -> Result<()> {
    match content_type(headers).as_deref() {
        None | Some("application/fhir+json" | "application/json" | "application/json+fhir" | "text/json") => Ok(()),
        Some(_) => {
            let text = "The request's content type is not supported, use `application/fhir+json`.";
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text))
        }
    }
}

/// What a write answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Return {
    /// The resource.
    #[default]
    Representation,
    /// Nothing.
    Minimal,
    /// An OperationOutcome.
    Outcome,
}

/// The preferences of `Prefer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `return=`, if it is there.
    pub returns: Option<Return>,
    /// Whether unknown search parameters are refused (`handling=strict`).
    pub strict: bool,
}

impl Prefer {
    /// Reads the header; unknown preferences are ignored as RFC 7240 asks, but for a bad `handling`.
    pub fn of(headers: &HeaderMap) -> Result<Self> {
        let mut prefer = Self::default();
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split([',', ';'])) {
            let Some((name, value)) = preference.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                ("handling", value) if value.eq_ignore_ascii_case("strict") => prefer.strict = true,
                ("handling", value) if value.eq_ignore_ascii_case("lenient") => prefer.strict = false,
                ("handling", other) => {
                    return Err(Failure::invalid(format!(
                        "The 'handling' value '{other}' is invalid. The supported values are: 'strict', 'lenient'."
                    )));
                }
                ("return", "minimal") => prefer.returns = Some(Return::Minimal),
                ("return", "representation") => prefer.returns = Some(Return::Representation),
                ("return", "OperationOutcome") => prefer.returns = Some(Return::Outcome),
                _ => {}
            }
        }
        Ok(prefer)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn wanted(accept: Option<&str>, query: &[(&str, &str)]) -> Result<Wanted, u16> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().expect("header"));
        }
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Wanted::of(&headers, &query).map_err(|failure| failure.status.as_u16())
    }

    #[rstest]
    #[case(None, &[], Ok(MediaType::FhirJson))]
    #[case(Some("*/*"), &[("_format", "application/json")], Ok(MediaType::Json))]
    #[case(Some("text/html;q=0.5, application/fhir+json"), &[], Ok(MediaType::FhirJson))]
    #[case(Some("text/html,application/xml;q=0.9,*/*;q=0.8"), &[], Ok(MediaType::FhirJson))]
    #[case(Some("application/fhir+json;q=0.1, application/json"), &[], Ok(MediaType::Json))]
    #[case(Some("application/json1"), &[], Err(406))]
    #[case(Some("application/fhir+json;q=0"), &[], Err(406))]
    #[case(None, &[("_format", "application/fhir json")], Ok(MediaType::FhirJson))]
    #[case(None, &[("_format", "blah")], Err(406))]
    #[case(None, &[("_pretty", "1")], Err(400))]
    fn formats(#[case] accept: Option<&str>, #[case] query: &[(&str, &str)], #[case] expected: Result<MediaType, u16>) {
        assert_eq!(wanted(accept, query).map(|wanted| wanted.media_type), expected);
    }
}
