//! Cross-origin requests (Fetch standard, "CORS protocol"): what a browser is told about an answer, and before a request.
//!
//! A request is answered the same whatever its origin; what an origin may not see, its browser keeps from it.

use fhir_server_settings::Cors;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Headers of answers that scripts may read, beside those that they always may.
const EXPOSED: &str = "Content-Location, ETag, Items-Deleted, Location, Retry-After, WWW-Authenticate, X-Correlation-Id, \
                       X-Request-Id";
/// What is always allowed, so that it needs no setting.
const SIMPLE_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

/// What other origins may do.
pub struct Policy {
    origins: Names,
    headers: Names,
    methods: Names,
    max_age: Option<HeaderValue>,
    credentials: bool,
}

/// Some names, or all.
enum Names {
    All,
    These(Vec<String>),
}

impl Names {
    fn of(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Self::All;
        }
        Self::These(names.to_vec())
    }
}

impl Policy {
    /// Of these settings; there is none where no origin is named.
    pub fn of(settings: &Cors) -> Option<Self> {
        let mut methods = settings.methods.clone();
        methods.extend(SIMPLE_METHODS.map(str::to_owned));
        (!settings.origins.is_empty()).then(|| Self {
            origins: Names::of(&settings.origins),
            headers: Names::of(&settings.headers),
            methods: Names::of(&methods),
            max_age: settings.max_age.map(HeaderValue::from),
            credentials: settings.allow_credentials,
        })
    }

    /// The headers of the answer to a request.
    pub fn headers(&self, method: &Method, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Names::These(_) = self.origins {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.origin(request.get(header::ORIGIN)) else {
            return headers;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if !is_preflight(method, request) {
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
            return headers;
        }
        let asked = |name: HeaderName| request.get(name).cloned();
        let methods = names(&self.methods, || asked(header::ACCESS_CONTROL_REQUEST_METHOD));
        let allowed = names(&self.headers, || asked(header::ACCESS_CONTROL_REQUEST_HEADERS));
        let told = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
            (header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ];
        headers.extend(told.into_iter().filter_map(|(name, value)| Some((name, value?))));
        headers
    }

    fn origin(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let origin = origin?;
        match &self.origins {
            Names::All => Some(HeaderValue::from_static("*")),
            Names::These(origins) => {
                let is_one = |allowed: &String| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
                origins.iter().any(is_one).then(|| origin.clone())
            }
        }
    }
}

/// The names as a header; all of them are those that are asked for, since browsers don't take `*` for `Authorization`.
fn names(names: &Names, asked: impl FnOnce() -> Option<HeaderValue>) -> Option<HeaderValue> {
    match names {
        Names::All => asked(),
        Names::These(names) if names.is_empty() => None,
        Names::These(names) => HeaderValue::from_str(&names.join(", ")).ok(),
    }
}

/// Whether a browser asks what it may do, before it does it.
pub fn is_preflight(method: &Method, request: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && request.contains_key(header::ORIGIN)
        && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const APP: &str = "https://app.example.org";

    fn told(settings: Value, method: &Method, request: &[(&'static str, &str)]) -> Vec<String> {
        let settings: Cors = serde_json::from_value(settings).expect("settings");
        let request = request.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("value");
            (HeaderName::from_static(name), value)
        });
        let headers = Policy::of(&settings)
            .expect("policy")
            .headers(method, &request.collect());
        let mut told: Vec<_> = headers
            .iter()
            .filter(|(name, _)| *name != header::ACCESS_CONTROL_EXPOSE_HEADERS)
            .map(|(name, value)| {
                let name = name.as_str().trim_start_matches("access-control-");
                format!("{name}: {}", value.to_str().expect("text"))
            })
            .collect();
        told.sort();
        told
    }

    #[rstest]
    #[case::named(json!({"origins": [APP]}), Some(APP), &["allow-origin: https://app.example.org", "vary: origin"])]
    #[case::another(json!({"origins": [APP]}), Some("https://app.example.org.evil.org"), &["vary: origin"])]
    #[case::null(json!({"origins": [APP]}), Some("null"), &["vary: origin"])]
    #[case::none(json!({"origins": [APP]}), None, &["vary: origin"])]
    #[case::all(json!({"origins": ["*"]}), Some("https://x"), &["allow-origin: *"])]
    #[case::credentials(json!({"origins": ["http://a:81", APP], "allowCredentials": true}), Some("http://a:81"),
        &["allow-credentials: true", "allow-origin: http://a:81", "vary: origin"])]
    fn answers(#[case] settings: Value, #[case] origin: Option<&'static str>, #[case] expected: &[&str]) {
        let origin: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        assert_eq!(told(settings, &Method::GET, &origin), expected);
    }

    #[rstest]
    #[case::nothing_more(json!({"origins": ["*"]}), &["allow-methods: GET, HEAD, POST", "allow-origin: *"])]
    #[case::listed(json!({"origins": ["*"], "methods": ["PUT", "DELETE"], "headers": ["Authorization", "Prefer"], "maxAge": 600}),
        &["allow-headers: Authorization, Prefer", "allow-methods: PUT, DELETE, GET, HEAD, POST", "allow-origin: *", "max-age: 600"])]
    #[case::all(json!({"origins": [APP], "methods": ["*"], "headers": ["*"], "maxAge": 0}),
        &["allow-headers: authorization, if-match", "allow-methods: PUT", "allow-origin: https://app.example.org",
          "max-age: 0", "vary: origin"])]
    #[case::another_origin(json!({"origins": ["https://b"], "methods": ["*"]}), &["vary: origin"])]
    fn preflights(#[case] settings: Value, #[case] expected: &[&str]) {
        let request = [
            ("origin", APP),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization, if-match"),
        ];
        assert_eq!(told(settings, &Method::OPTIONS, &request), expected);
    }

    #[test]
    fn without_origins_there_is_no_policy() {
        let settings = Cors {
            methods: vec!["*".to_owned()],
            ..Cors::default()
        };
        assert!(Policy::of(&settings).is_none());
    }
}
