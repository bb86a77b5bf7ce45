//! Why a token isn't accepted, and why an issuer can't be configured.

use thiserror::Error;

/// Why a request isn't authenticated. The messages are safe to show to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BearerError {
    /// No `Authorization` header.
    #[error("a bearer token is required")]
    Missing,
    /// An `Authorization` header of another scheme.
    #[error("the authorization scheme isn't `Bearer`")]
    Scheme,
    /// Not a signed JWT in compact form.
    #[error("the token isn't a signed JWT: {0}")]
    Malformed(&'static str),
    /// `none`, a symmetric algorithm, or one that its key isn't for.
    #[error("the token's algorithm `{0}` isn't accepted")]
    Algorithm(String),
    /// The token's issuer isn't trusted.
    #[error("the token's issuer `{0}` isn't trusted here")]
    Issuer(String),
    /// The issuer is trusted, but has no such key.
    #[error("the token's key `{0}` isn't one of its issuer's")]
    Key(String),
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// The token is for somebody else.
    #[error("the token's audience isn't this service")]
    Audience,
    /// The token has no `exp`, or it is past.
    #[error("the token is expired")]
    Expired,
    /// The token's `nbf` is to come.
    #[error("the token isn't valid yet")]
    NotYet,
    /// The issuer's keys could not be had so far; another try may succeed.
    #[error("the keys of the token's issuer can't be had at the moment")]
    KeysUnavailable,
}

impl BearerError {
    /// The same token may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }

    /// The value of a `WWW-Authenticate` header (RFC 6750, section 3).
    pub fn challenge(&self) -> String {
        match self {
            Self::Missing | Self::Scheme => "Bearer".to_owned(),
            // The text may quote the token, so what could end a quoted string is taken out.
            other => {
                let text: String = other
                    .to_string()
                    .chars()
                    .filter(|c| matches!(c, ' '..='~' if *c != '"' && *c != '\\'))
                    .collect();
                format!("Bearer error=\"invalid_token\", error_description=\"{text}\"")
            }
        }
    }
}

/// Why an issuer can't be configured.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// Neither a URL over TLS nor one on this machine.
    #[error("issuer `{0}` isn't an `https://` URL")]
    Authority(String),
    /// An issuer without an audience would accept tokens meant for others.
    #[error("issuer `{0}` needs an audience")]
    Audience(String),
    /// The CA bundle can't be used.
    #[error("the CA bundle of issuer `{authority}`")]
    Bundle {
        /// The issuer.
        authority: String,
        /// Why.
        source: daemon::tls::TlsError,
    },
    /// The HTTP client can't be set up.
    #[error("no HTTP client for issuer `{authority}`")]
    Client {
        /// The issuer.
        authority: String,
        /// Why.
        source: reqwest::Error,
    },
}
