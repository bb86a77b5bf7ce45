//! HTTP to the FHIR server: token file, certificate authorities, Retry-After.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use daemon::files::{LOOK_INTERVAL, Look, WatchedFile};
use iot_connector_settings::FhirServer;
use reqwest::{Certificate, Client, Method, RequestBuilder, Url, header};
use serde_json::Value;

use super::{Answer, ClientError, FhirError, ask::FHIR_JSON};

/// What requests go out with.
pub struct Connection {
    client: Client,
    pub base: Url,
    token: Option<Token>,
}

/// Where tokens for the server come from.
enum Token {
    File(TokenFile),
    Issuer(bearer::Client),
}

impl Connection {
    /// As the settings say; nothing is sent. Needs the TLS provider installed.
    pub fn new(settings: &FhirServer) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url {
            url: settings.url.clone(),
        };
        let base = format!("{}/", settings.url.trim_end_matches('/'));
        let base = Url::parse(&base).ok().filter(Url::has_host).ok_or_else(wrong)?;
        let timeout = Duration::from_secs(u64::from(settings.timeout_seconds));
        let mut builder = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .pool_max_idle_per_host(settings.concurrency as usize)
            .tcp_nodelay(true)
            .user_agent(concat!("iot-connector/", env!("CARGO_PKG_VERSION")))
            // Our token is for this server and no other.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &settings.ca_file {
            let pem = daemon::tls::authorities(path).map_err(ClientError::Authorities)?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self {
            client: builder.build()?,
            base,
            token: Token::of(settings)?,
        })
    }

    /// A request with what every answer should be.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client
            .request(method, url)
            .header(header::ACCEPT, FHIR_JSON)
            // what was written is known here already
            .header("prefer", "return=minimal")
    }

    /// Sends it with the token and reads the answer, whatever its status.
    pub async fn exchange(&self, request: RequestBuilder) -> Result<(u16, Received), FhirError> {
        let failed = |error: reqwest::Error| {
            if error.is_builder() {
                // It is never sent, however long it waits.
                let outcome = "a name in it is longer than a URL can be".to_owned();
                return FhirError::Refused { status: 414, outcome };
            }
            let reason = daemon::process::describe(&error.without_url());
            FhirError::server(format!("the FHIR server doesn't answer: {reason}"))
        };
        let token = match &self.token {
            Some(token) => token.current().await?,
            None => None,
        };
        let request = match &token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        if let (401, Some(Token::Issuer(issuer)), Some(token)) = (status, &self.token, &token) {
            issuer.refused(token).await;
        }
        let text = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let (etag, retry_after) = (text(header::ETAG), text(header::RETRY_AFTER));
        let location = text(header::LOCATION);
        let bytes = response.bytes().await.map_err(failed)?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if (200..=299).contains(&status) && !bytes.trim_ascii().is_empty() && !body["resourceType"].is_string() {
            return Err(FhirError::server(format!(
                "the FHIR server answers {status} with something that isn't FHIR: is `fhirServer.url` right, and no page to sign in before it?"
            )));
        }
        if let (300..=399, Some(location)) = (status, location) {
            return Err(FhirError::server(format!(
                "the FHIR server answers {status} and names `{location}`: correct `fhirServer.url`"
            )));
        }
        let retry_after = retry_after.and_then(|text| delay(&text, jiff::Timestamp::now()));
        Ok((
            status,
            Received {
                etag,
                retry_after,
                body,
            },
        ))
    }
}

/// An answer as it came, by itself or as an entry.
#[derive(Debug)]
pub struct Received {
    pub etag: Option<String>,
    pub retry_after: Option<Duration>,
    pub body: Value,
}

impl Received {
    /// Whether a FHIR server said it, and not something before it.
    pub fn is_outcome(&self) -> bool {
        self.body["resourceType"] == "OperationOutcome"
    }

    /// As the pipeline sees a success.
    pub fn into_answer(self, status: u16) -> Answer {
        let version = self
            .etag
            .as_deref()
            .and_then(|etag| etag.strip_prefix("W/\"")?.strip_suffix('"').map(str::to_owned));
        let version = version.or_else(|| self.body["meta"]["versionId"].as_str().map(str::to_owned));
        Answer {
            status,
            version,
            body: self.body,
        }
    }

    /// As the pipeline sees a failure.
    pub fn into_error(self, status: u16) -> FhirError {
        let issues = self.body["issue"].as_array().map_or(&[][..], Vec::as_slice);
        let said: Vec<&str> = issues
            .iter()
            .filter_map(|issue| {
                issue["diagnostics"]
                    .as_str()
                    .or_else(|| issue["details"]["text"].as_str())
            })
            .take(5)
            .collect();
        let outcome = if said.is_empty() {
            "no reason is given".to_owned()
        } else {
            said.join("; ")
        };
        FhirError::of_status(status, self.retry_after, outcome)
    }
}

impl Token {
    fn of(settings: &FhirServer) -> Result<Option<Self>, ClientError> {
        let Some(credentials) = &settings.client_credentials else {
            return Ok(settings.token_file.clone().map(TokenFile::new).map(Self::File));
        };
        let issuer = bearer::Client::new(bearer::Credentials {
            authority: credentials.authority.clone(),
            client_id: credentials.client_id.clone(),
            secret_file: credentials.client_secret_file.clone(),
            scope: credentials.scope.clone(),
            ca_bundle: credentials.ca_file.clone(),
        });
        Ok(Some(Self::Issuer(issuer.map_err(ClientError::Credentials)?)))
    }

    async fn current(&self) -> Result<Option<Arc<str>>, FhirError> {
        match self {
            Self::File(file) => Ok(file.current()),
            Self::Issuer(issuer) => match issuer.token().await {
                Ok(token) => Ok(Some(token)),
                Err(error) => Err(FhirError::server(error.to_string())),
            },
        }
    }
}

/// The bearer token of a file.
struct TokenFile {
    file: Mutex<(WatchedFile, Option<Instant>, Option<Arc<str>>)>,
}

impl TokenFile {
    fn new(path: PathBuf) -> Self {
        Self {
            file: Mutex::new((WatchedFile::new(path), None, None)),
        }
    }

    /// The token in the file, which is looked at now and then.
    fn current(&self) -> Option<Arc<str>> {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, looked, token) = &mut *guard;
        if token.is_none() || looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL) {
            *looked = Some(Instant::now());
            match file.look() {
                Ok(Look::Changed(text)) => *token = Some(String::from_utf8_lossy(text.trim_ascii()).into()),
                Ok(Look::Missing) => *token = None,
                // Without a new text the last one is the best there is; the server's 401 says the rest.
                Ok(Look::Same) | Err(_) => {}
            }
        }
        token.clone()
    }
}

/// Retry-After (RFC 9110, section 10.2.3): seconds or a date; at most ten minutes are believed.
fn delay(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    let most = Duration::from_mins(10);
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(most));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()?;
    Some(
        Duration::try_from(date.duration_since(now))
            .unwrap_or_default()
            .min(most),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("7", Some(7))]
    #[case("99999", Some(600))]
    #[case("Thu, 01 Jan 1970 00:00:30 GMT", Some(30))]
    #[case("Wed, 31 Dec 1969 23:00:00 GMT", Some(0))]
    #[case("soon", None)]
    fn retry_after_is_seconds_or_a_date(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(
            delay(text, jiff::Timestamp::UNIX_EPOCH),
            seconds.map(Duration::from_secs)
        );
    }
}
