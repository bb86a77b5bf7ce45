//! HTTP as a case sees it: raw statuses, headers and bodies, no redirects, no retries.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON, where it is JSON.
    pub body: Option<Value>,
}

impl Answer {
    /// A header by name, several joined by comma.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The URL of a Bundle's link.
    pub fn link(&self, relation: &str) -> Option<&str> {
        let links = self.body.as_ref()?.get("link")?.as_array()?;
        links
            .iter()
            .find(|link| link["relation"] == relation)?
            .get("url")?
            .as_str()
    }
}

/// A connection pool to one server.
#[derive(Debug, Clone)]
pub struct Client {
    /// The service base, without a final slash.
    pub base: String,
    tokens: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Client {
    /// A client for the server at `base`; `tokens` are bearer tokens by the name that cases use (`default` for all).
    pub fn new(base: &str, tokens: BTreeMap<String, String>) -> Result<Self> {
        // `Err` only says that there is one already
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1))
            .build()
            .context("building the HTTP client")?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            tokens,
            http,
        })
    }

    /// Sends one request. `auth` names a token; `none` sends none.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Option<Vec<u8>>,
        auth: Option<&str>,
    ) -> Result<Answer> {
        let url = self.absolute(url);
        let mut map = HeaderMap::new();
        if let Some(token) = self
            .tokens
            .get(auth.unwrap_or("default"))
            .filter(|_| auth != Some("none"))
        {
            map.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}"))?);
        }
        for (name, value) in headers {
            map.insert(
                HeaderName::try_from(name.as_str())?,
                HeaderValue::from_bytes(value.as_bytes())?,
            );
        }
        let mut request = self
            .http
            .request(Method::from_bytes(method.as_bytes())?, &url)
            .headers(map);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.with_context(|| format!("{method} {url}"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_str(&text).ok(),
            text,
        })
    }

    fn absolute(&self, url: &str) -> String {
        if url.contains("://") {
            return url.to_owned();
        }
        match url.strip_prefix('/') {
            Some(path) => {
                let host = self.base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
                format!("{host}/{path}")
            }
            None => format!("{}/{url}", self.base),
        }
    }
}
