//! Cross-origin requests: which pages of other origins browsers let call the FHIR API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

/// The longest time that Azure API for FHIR lets browsers remember an answer, in seconds.
const LONGEST: u32 = 99_999;

/// Cross-origin requests (CORS); the same settings as Azure API for FHIR's.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    /// Origins (`https://app.example.org`) whose pages may call the service, or `*` for all; empty: none
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Request headers that they may send, or `*` for all
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Methods that they may use beside GET, HEAD and POST, or `*` for all
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// For how many seconds browsers may remember what they may; absent: as they like
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 99999))]
    pub max_age: Option<u32>,
    /// Whether browsers send credentials of their own (cookies, certificates); never with the origin `*`
    pub allow_credentials: bool,
}

impl Cors {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            let reason = format!("`{origin}` is neither `*` nor an origin like `https://app.example.org`");
            return Err(SettingsError::new("cors.origins", reason));
        }
        let lists = [("cors.headers", &self.headers), ("cors.methods", &self.methods)];
        for (option, names) in lists {
            if let Some(name) = names.iter().find(|name| !is_token(name)) {
                return Err(SettingsError::new(option, format!("`{name}` is no name in HTTP")));
            }
        }
        if self.max_age.is_some_and(|seconds| seconds > LONGEST) {
            return Err(SettingsError::new(
                "cors.maxAge",
                format!("isn't within 0 to {LONGEST}"),
            ));
        }
        if self.allow_credentials && self.origins.iter().any(|origin| origin == "*") {
            let reason = "is never combined with the origin `*`: name the origins";
            return Err(SettingsError::new("cors.allowCredentials", reason));
        }
        Ok(())
    }
}

/// Azure's pattern: a scheme, a host, maybe a port, no path.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_of_host))
}

/// A token of HTTP (RFC 9110, 5.6.2); `*` is one.
fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}
