//! Bearer tokens: a device or a gateway shows a token of an issuer that we trust.

use std::collections::HashMap;

use bearer::{BearerError, ConfigurationError, KeySource, Options, Verifier};
use iot_connector_settings::Issuer;
use thiserror::Error;

/// Why a token lets nobody in. The messages are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The token itself.
    #[error(transparent)]
    Token(#[from] BearerError),
    /// It is a good one that names no device.
    #[error("the token has no claim `{0}`, which says which device sends")]
    NoDevice(String),
}

impl TokenError {
    /// The value of a `WWW-Authenticate` header.
    pub fn challenge(&self) -> String {
        match self {
            Self::Token(error) => error.challenge(),
            Self::NoDevice(_) => format!("Bearer error=\"invalid_token\", error_description=\"{self}\""),
        }
    }

    /// The same token may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Token(error) if error.is_temporary())
    }
}

/// Who sends, by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Tells its requests from those of others.
    pub id: String,
    /// The device, where tokens of this issuer name one.
    pub device: Option<String>,
}

/// Issuers whose tokens let devices send.
pub struct Tokens {
    verifier: Verifier,
    /// By authority, as configured.
    device_claims: HashMap<String, Option<String>>,
}

impl Tokens {
    /// Begins to get the issuers' keys. `None` without issuers.
    pub fn start(issuers: &[Issuer]) -> Result<Option<Self>, ConfigurationError> {
        if issuers.is_empty() {
            return Ok(None);
        }
        let trusted: Vec<bearer::Issuer> = issuers.iter().map(trusted).collect();
        let claims = |issuer: &Issuer| (issuer.authority.clone(), issuer.device_claim.clone());
        Ok(Some(Self {
            verifier: Verifier::start(&trusted, &Options::default())?,
            device_claims: issuers.iter().map(claims).collect(),
        }))
    }

    /// Whether a credential is meant as a token: connection keys have no dots.
    pub fn is_token(credential: &str) -> bool {
        credential.split('.').count() == 3
    }

    /// Who shows this token.
    pub async fn check(&self, token: &str) -> Result<Bearer, TokenError> {
        let claims = self.verifier.verify(token).await?;
        let wanted = self.device_claims.get(&claims.authority).and_then(Option::as_deref);
        let device = match wanted {
            None => None,
            Some(claim) => {
                let device = claims.text(claim).filter(|device| !device.is_empty());
                Some(device.ok_or_else(|| TokenError::NoDevice(claim.to_owned()))?.to_owned())
            }
        };
        let subject = claims.subject().unwrap_or_default();
        Ok(Bearer {
            id: format!("{}\n{subject}", claims.issuer),
            device,
        })
    }
}

fn trusted(issuer: &Issuer) -> bearer::Issuer {
    bearer::Issuer {
        authority: issuer.authority.clone(),
        audiences: issuer.audiences.clone(),
        keys: match &issuer.jwks_file {
            Some(path) => KeySource::File(path.clone()),
            None => KeySource::Discovery {
                ca_bundle: issuer.ca_file.clone(),
            },
        },
    }
}
