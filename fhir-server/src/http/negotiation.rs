//! Which format a request has and which it wants: `Content-Type`, `Accept`, `_format`, `_pretty`, `Prefer`.

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::failure::{Failure, Result};

/// How FHIR is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON
    Json,
    /// XML
    Xml,
}

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaType {
    /// `application/fhir+json`
    #[default]
    FhirJson,
    /// `application/json`
    Json,
    /// `application/fhir+xml`
    FhirXml,
    /// `application/xml`
    Xml,
    /// `text/xml`
    TextXml,
}

/// What FHIR is sent and answered as, in the order of a CapabilityStatement.
pub const FORMATS: [&str; 4] = ["application/fhir+json", "json", "application/fhir+xml", "xml"];

impl MediaType {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::FhirJson => "application/fhir+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::FhirXml => "application/fhir+xml; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::TextXml => "text/xml; charset=utf-8",
        }
    }

    /// JSON or XML.
    pub fn format(self) -> Format {
        match self {
            Self::FhirJson | Self::Json => Format::Json,
            Self::FhirXml | Self::Xml | Self::TextXml => Format::Xml,
        }
    }

    /// By its name in a header, without parameters; `+json` and `+xml` stood first in drafts of STU3.
    fn of_header(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "application/fhir+json" | "application/json+fhir" => Some(Self::FhirJson),
            "application/json" | "text/json" => Some(Self::Json),
            "application/fhir+xml" | "application/xml+fhir" => Some(Self::FhirXml),
            "application/xml" => Some(Self::Xml),
            "text/xml" => Some(Self::TextXml),
            _ => None,
        }
    }

    /// By a range of `Accept`.
    fn of_range(range: &str) -> Option<Self> {
        match range.trim() {
            "*/*" | "application/*" => Some(Self::FhirJson),
            "text/*" => Some(Self::TextXml),
            name => Self::of_header(name),
        }
    }

    /// By a value of `_format`, in which a plus sign is a blank.
    fn of_parameter(value: &str) -> Option<Self> {
        let name = value.split(';').next().unwrap_or(value).trim().replace(' ', "+");
        match name.as_str() {
            "json" => Some(Self::FhirJson),
            "xml" => Some(Self::FhirXml),
            name => Self::of_range(name),
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
            None => false,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(_) => return Err(Failure::invalid("The requested \"_pretty\" parameter is invalid.")),
        };
        let media_type = match parameter("_format").filter(|format| !format.is_empty()) {
            Some(format) => MediaType::of_parameter(format)
                .ok_or_else(|| not_acceptable("The requested \"_format\" parameter is not supported."))?,
            None => accepted(headers)?,
        };
        Ok(Self { media_type, pretty })
    }
}

fn not_acceptable(text: &str) -> Failure {
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
            let Some(media_type) = parts.next().and_then(MediaType::of_range) else {
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
        None if listed => Err(not_acceptable(
            "Value supplied for the \"Accept\" header is not supported.",
        )),
        None => Ok(MediaType::default()),
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A resource.
    Fhir(Format),
    /// JSON Patch.
    JsonPatch,
}

/// What `Content-Type` says that the body is.
pub fn content(headers: &HeaderMap) -> Result<Content> {
    let value = headers.get(header::CONTENT_TYPE).ok_or_else(|| {
        let text = "The \"content-type\" header is required.";
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text)
    })?;
    let name = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    if name.trim().eq_ignore_ascii_case("application/json-patch+json") {
        return Ok(Content::JsonPatch);
    }
    MediaType::of_header(name)
        .map(|media_type| Content::Fhir(media_type.format()))
        .ok_or_else(unsupported_content)
}

/// 415 for a body of another type.
pub fn unsupported_content() -> Failure {
    let text = "Value supplied for the \"Content-Type\" header is not supported.";
    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text)
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

const RETURNS: [(&str, Return); 3] = [
    ("minimal", Return::Minimal),
    ("representation", Return::Representation),
    ("OperationOutcome", Return::Outcome),
];

/// The preferences of `Prefer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `return=`, if it is there.
    pub returns: Option<Return>,
    /// Whether unknown search parameters are refused (`handling=strict`).
    pub strict: bool,
    /// Whether a write is validated by invariants, bindings and profiles, too (`x-ms-profile-validation: true`).
    pub profiles: bool,
    /// Whether search parameters count that are still being indexed (Microsoft's header, for trying them out).
    pub partial_indices: bool,
}

/// Microsoft's header.
const PARTIAL_INDICES: HeaderName = HeaderName::from_static("x-ms-use-partial-indices");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PROFILE_VALIDATION: HeaderName = HeaderName::from_static("x-ms-profile-validation");

impl Prefer {
    /// Reads the header; unknown preferences, and `respond-async` where nothing takes long, are ignored as RFC 7240
    /// asks, but for bad values of `handling` and `return`.
    pub fn of(headers: &HeaderMap) -> Result<Self> {
        let says_true = |name: &HeaderName| {
            let value = headers.get(name);
            value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
        };
        let mut prefer = Self {
            profiles: says_true(&PROFILE_VALIDATION),
            partial_indices: says_true(&PARTIAL_INDICES),
            ..Self::default()
        };
        let values = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
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
                ("return", value) => {
                    let found = RETURNS.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
                    let (_, returns) = found.ok_or_else(|| {
                        Failure::invalid(format!(
                            "The 'return' value '{value}' is invalid. The supported values are: 'minimal', \
                             'representation', 'OperationOutcome'."
                        ))
                    })?;
                    prefer.returns = Some(*returns);
                }
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
    #[case(Some("text/html,application/xml;q=0.9,*/*;q=0.8"), &[], Ok(MediaType::Xml))]
    #[case(Some("application/fhir+json;q=0.1, application/json"), &[], Ok(MediaType::Json))]
    #[case(Some("application/fhir+xml;q=0.5, application/fhir+json;q=0.4"), &[], Ok(MediaType::FhirXml))]
    #[case(Some("Application/FHIR+XML; charset=utf-8; fhirVersion=4.0"), &[], Ok(MediaType::FhirXml))]
    #[case(Some("application/xml+fhir"), &[], Ok(MediaType::FhirXml))]
    #[case(Some("application/json+fhir"), &[], Ok(MediaType::FhirJson))]
    #[case(Some("text/xml"), &[], Ok(MediaType::TextXml))]
    #[case(Some("application/json1"), &[], Err(406))]
    #[case(Some("applicaiton/xml"), &[], Err(406))]
    #[case(Some("text/turtle"), &[], Err(406))]
    #[case(Some("application/fhir+json;q=0"), &[], Err(406))]
    #[case(Some("text/turtle"), &[("_format", "json")], Ok(MediaType::FhirJson))]
    #[case(Some("application/fhir+json"), &[("_format", "xml")], Ok(MediaType::FhirXml))]
    #[case(None, &[("_format", "application/fhir json")], Ok(MediaType::FhirJson))]
    #[case(None, &[("_format", "application/fhir xml; charset=utf-8")], Ok(MediaType::FhirXml))]
    #[case(None, &[("_format", "text/xml")], Ok(MediaType::TextXml))]
    #[case(None, &[("_format", "")], Ok(MediaType::FhirJson))]
    #[case(None, &[("_format", "blah")], Err(406))]
    #[case(None, &[("_format", "ttl")], Err(406))]
    #[case(None, &[("_pretty", "True")], Ok(MediaType::FhirJson))]
    #[case(None, &[("_pretty", "1")], Err(400))]
    fn formats(#[case] accept: Option<&str>, #[case] query: &[(&str, &str)], #[case] expected: Result<MediaType, u16>) {
        assert_eq!(wanted(accept, query).map(|wanted| wanted.media_type), expected);
    }

    #[rstest]
    #[case(None, Err("The \"content-type\" header is required."))]
    #[case(Some("application/fhir+json;charset=utf-8"), Ok(Content::Fhir(Format::Json)))]
    #[case(Some("application/json"), Ok(Content::Fhir(Format::Json)))]
    #[case(Some("application/json+fhir"), Ok(Content::Fhir(Format::Json)))]
    #[case(Some("application/xml+fhir"), Ok(Content::Fhir(Format::Xml)))]
    #[case(Some("TEXT/XML"), Ok(Content::Fhir(Format::Xml)))]
    #[case(Some("application/json-patch+json"), Ok(Content::JsonPatch))]
    #[case(
        Some("json"),
        Err("Value supplied for the \"Content-Type\" header is not supported.")
    )]
    #[case(Some("*/*"), Err("Value supplied for the \"Content-Type\" header is not supported."))]
    fn contents(#[case] content_type: Option<&str>, #[case] expected: Result<Content, &str>) {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type.parse().expect("header"));
        }
        let found = content(&headers).map_err(|failure| failure.issues[0].diagnostics.clone());
        assert_eq!(
            found.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|text| *text)
        );
    }
}
