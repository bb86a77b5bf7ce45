//! Tokens that a program presents itself: an issuer gives them for its credentials (RFC 6749, section 4.4).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::process::describe;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::ConfigurationError;
use crate::source::{Discoverer, is_safe};

/// How long a token is used where the issuer doesn't say how long it is valid.
const UNSTATED: Duration = Duration::from_mins(5);
/// After an issuer gave none, it is asked again so much later at the earliest.
const PAUSE: Duration = Duration::from_secs(2);

/// What an issuer knows a program by.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The issuer's URL; its discovery document names the token endpoint.
    pub authority: String,
    /// `client_id`.
    pub client_id: String,
    /// The file with the client's secret, read each time that one is needed.
    pub secret_file: PathBuf,
    /// What is asked for.
    pub scope: Option<String>,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Why there is no token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no token from `{authority}`: {reason}")]
pub struct NoToken {
    authority: String,
    reason: String,
}

/// Gets tokens and keeps the last one for most of its time.
pub struct Client {
    credentials: Credentials,
    issuer: Discoverer,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<(Arc<str>, Instant)>,
    failed: Option<(NoToken, Instant)>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds; some send a text.
    expires_in: Option<Value>,
}

impl Client {
    /// Nothing is asked yet. Needs the TLS provider installed.
    pub fn new(credentials: Credentials) -> Result<Self, ConfigurationError> {
        let issuer = Discoverer::new(&credentials.authority, credentials.ca_bundle.as_deref())?;
        Ok(Self {
            credentials,
            issuer,
            held: Mutex::default(),
        })
    }

    /// A token that is valid for a while. Whoever comes while one is fetched waits for the same one.
    pub async fn token(&self) -> Result<Arc<str>, NoToken> {
        let mut held = self.held.lock().await;
        if let Some((token, until)) = &held.token
            && Instant::now() < *until
        {
            return Ok(Arc::clone(token));
        }
        if let Some((failure, at)) = &held.failed
            && at.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        match self.fetch().await {
            Ok((token, lifetime)) => {
                // a fifth of its time is for clocks that differ and requests on their way
                let until = Instant::now() + lifetime * 4 / 5;
                let token: Arc<str> = token.into();
                *held = Held {
                    token: Some((Arc::clone(&token), until)),
                    failed: None,
                };
                Ok(token)
            }
            Err(reason) => {
                let failure = NoToken {
                    authority: self.credentials.authority.clone(),
                    reason,
                };
                held.failed = Some((failure.clone(), Instant::now()));
                Err(failure)
            }
        }
    }

    /// Whoever was asked doesn't accept this token: the next one is fetched anew.
    pub async fn refused(&self, refused: &str) {
        let mut held = self.held.lock().await;
        held.token.take_if(|(token, _)| **token == *refused);
    }

    async fn fetch(&self) -> Result<(String, Duration), String> {
        let Credentials {
            client_id,
            secret_file,
            scope,
            ..
        } = &self.credentials;
        let secret = tokio::fs::read_to_string(secret_file)
            .await
            .map_err(|error| format!("`{}` can't be read: {error}", secret_file.display()))?;
        let discovery = self.issuer.discover().await.map_err(|error| describe(&error))?;
        let Some(url) = discovery.token_endpoint else {
            return Err("its discovery document names no `token_endpoint`".to_owned());
        };
        if !is_safe(&url) {
            return Err(format!("`{url}` isn't reached over TLS"));
        }
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let failed = |error: reqwest::Error| describe(&error.without_url());
        let request = self.issuer.client.post(&url);
        let answer = request
            .basic_auth(escape(client_id), Some(escape(secret.trim_end_matches(['\r', '\n']))))
            .header("accept", "application/json")
            .form(&form)
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(failed)?;
        if status != StatusCode::OK {
            return Err(refusal(status, &text));
        }
        let answer: Answer = serde_json::from_slice(&text).map_err(|_| format!("`{url}` answers without a token"))?;
        let seconds = answer.expires_in.and_then(|seconds| match seconds {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        Ok((answer.access_token, seconds.map_or(UNSTATED, Duration::from_secs)))
    }
}

/// What RFC 6749, section 5.2, has an issuer say, which is nothing secret.
fn refusal(status: StatusCode, text: &[u8]) -> String {
    let said: Value = serde_json::from_slice(text).unwrap_or_default();
    let said = [&said["error"], &said["error_description"]];
    let said: Vec<&str> = said.into_iter().filter_map(Value::as_str).collect();
    format!("it answers {status} {}", said.join(": ")).trim_end().to_owned()
}

/// Both parts of Basic are form-encoded before (RFC 6749, section 2.3.1).
fn escape(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://unused/").expect("it is one");
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_part_of_basic_is_escaped() {
        assert_eq!(escape("a b:ü/%"), "a+b%3A%C3%BC%2F%25");
        assert_eq!(escape("plain-1_2.3"), "plain-1_2.3");
    }
}
