//! Where keys are fetched: an issuer's discovery document and JWKS, or a file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Certificate, Client, redirect::Policy};
use serde::Deserialize;
use thiserror::Error;

use crate::{ConfigurationError, Issuer, KeySource, issuer::speaks_for, keys::KeySet};

/// One request to an issuer may take so long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Documents larger than this aren't read.
const MAX_DOCUMENT: usize = 1 << 20;

/// Why keys could not be fetched.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("`{url}` doesn't answer")]
    Request { url: String, source: reqwest::Error },
    #[error("`{url}` answers {status}")]
    Status { url: String, status: u16 },
    #[error("`{url}` sends more than {MAX_DOCUMENT} bytes")]
    TooLarge { url: String },
    #[error("`{url}` isn't a document of the expected form")]
    Document { url: String, source: serde_json::Error },
    #[error("`{authority}` states `{stated}` as its issuer, which isn't the same")]
    Issuer { authority: String, stated: String },
    #[error("`{url}` isn't reached over TLS")]
    Plain { url: String },
    #[error("`{path}` can't be read")]
    File { path: PathBuf, source: std::io::Error },
}

/// What a fetch gave.
pub(crate) struct Fetched {
    /// The issuer that tokens have to carry.
    pub(crate) issuer: String,
    pub(crate) keys: KeySet,
    pub(crate) endpoints: Endpoints,
}

/// Where clients of an issuer ask, as far as its discovery document says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For authorization by a user.
    pub authorization: Option<String>,
    /// For tokens.
    pub token: Option<String>,
}

pub(crate) enum Source {
    Discovery(Discoverer),
    File { path: PathBuf, issuer: String },
}

/// Asks an issuer over HTTP.
pub(crate) struct Discoverer {
    pub(crate) client: Client,
    pub(crate) authority: String,
}

#[derive(Deserialize)]
pub(crate) struct Discovery {
    issuer: String,
    jwks_uri: String,
    authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
}

impl Source {
    pub(crate) fn new(issuer: &Issuer) -> Result<Self, ConfigurationError> {
        match &issuer.keys {
            KeySource::File(path) => Ok(Self::File {
                path: path.clone(),
                issuer: issuer.authority.clone(),
            }),
            KeySource::Discovery { ca_bundle } => {
                Discoverer::new(&issuer.authority, ca_bundle.as_deref()).map(Self::Discovery)
            }
        }
    }

    pub(crate) async fn fetch(&self) -> Result<Fetched, FetchError> {
        match self {
            Self::File { path, issuer } => {
                let text = tokio::fs::read(path).await.map_err(|source| FetchError::File {
                    path: path.clone(),
                    source,
                })?;
                let keys = KeySet::parse(&text).map_err(|source| FetchError::Document {
                    url: path.display().to_string(),
                    source,
                })?;
                Ok(Fetched {
                    issuer: issuer.clone(),
                    keys,
                    endpoints: Endpoints::default(),
                })
            }
            Self::Discovery(discoverer) => {
                let discovery = discoverer.discover().await?;
                if !is_safe(&discovery.jwks_uri) {
                    return Err(FetchError::Plain {
                        url: discovery.jwks_uri,
                    });
                }
                let text = get(&discoverer.client, &discovery.jwks_uri).await?;
                let keys = KeySet::parse(&text).map_err(|source| FetchError::Document {
                    url: discovery.jwks_uri,
                    source,
                })?;
                Ok(Fetched {
                    issuer: discovery.issuer,
                    keys,
                    endpoints: Endpoints {
                        authorization: discovery.authorization_endpoint,
                        token: discovery.token_endpoint,
                    },
                })
            }
        }
    }
}

impl Discoverer {
    /// Nothing is asked yet.
    pub(crate) fn new(authority: &str, ca_bundle: Option<&Path>) -> Result<Self, ConfigurationError> {
        let authority = authority.to_owned();
        if !is_safe(&authority) {
            return Err(ConfigurationError::Authority(authority));
        }
        let mut builder = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT / 2)
            .redirect(Policy::none())
            .pool_max_idle_per_host(0);
        let failed = |source| ConfigurationError::Client {
            authority: authority.clone(),
            source,
        };
        if let Some(path) = ca_bundle {
            let pem = daemon::tls::authorities(path).map_err(|source| ConfigurationError::Bundle {
                authority: authority.clone(),
                source,
            })?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(failed)?);
        }
        let client = builder.build().map_err(failed)?;
        Ok(Self { client, authority })
    }

    /// The discovery document, if it is of the issuer that was asked.
    pub(crate) async fn discover(&self) -> Result<Discovery, FetchError> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            self.authority.trim_end_matches('/')
        );
        let text = get(&self.client, &url).await?;
        let discovery: Discovery =
            serde_json::from_slice(&text).map_err(|source| FetchError::Document { url, source })?;
        if !speaks_for(&self.authority, &discovery.issuer) {
            return Err(FetchError::Issuer {
                authority: self.authority.clone(),
                stated: discovery.issuer,
            });
        }
        Ok(discovery)
    }
}

/// Keys come over TLS, or from this machine (an issuer beside us while developing).
pub(crate) fn is_safe(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    url.starts_with("https://") || local.iter().any(|prefix| url.starts_with(prefix))
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::Request {
        url: url.to_owned(),
        source,
    };
    let mut response = client
        .get(url)
        .header("accept", "application/json")
        .send()
        .await
        .map_err(failed)?;
    if !response.status().is_success() {
        return Err(FetchError::Status {
            url: url.to_owned(),
            status: response.status().as_u16(),
        });
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if text.len() + chunk.len() > MAX_DOCUMENT {
            return Err(FetchError::TooLarge { url: url.to_owned() });
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
