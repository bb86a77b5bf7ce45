//! Who may send messages, and for which device: by connection key, by bearer token, or anyone.

use std::{borrow::Cow, sync::Arc};

use axum::http::{HeaderMap, header};
use bearer::ConfigurationError;
use iot_connector_settings::{KEY_HEADER, Settings};
use jiff::Timestamp;
use thiserror::Error;

use super::{
    context::{DEVICE_HEADER, header_text},
    keys::{KeyError, Keys},
    tokens::{TokenError, Tokens},
};

/// Why nobody is let in. The messages are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SenderError {
    /// Neither a key nor a token.
    #[error("send a bearer token or a connection key (`Authorization: Bearer …`, a key also as `{KEY_HEADER}: KEY`)")]
    Missing,
    /// By key.
    #[error(transparent)]
    Key(KeyError),
    /// By token.
    #[error(transparent)]
    Token(TokenError),
}

impl SenderError {
    /// The value of a `WWW-Authenticate` header.
    pub fn challenge(&self) -> String {
        match self {
            Self::Token(error) => error.challenge(),
            Self::Missing | Self::Key(_) => "Bearer".to_owned(),
        }
    }

    /// The same credential may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Token(error) if error.is_temporary())
    }
}

/// Who sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// Tells requests of one sender from those of others; empty for anyone.
    pub id: String,
    /// The device that it sends for.
    pub device: Option<String>,
}

/// Who may send messages.
pub struct Senders {
    keys: Option<Arc<Keys>>,
    tokens: Option<Tokens>,
}

impl Senders {
    /// As the settings say; files are followed on this runtime.
    pub fn start(settings: &Settings) -> Result<Self, ConfigurationError> {
        Ok(Self {
            keys: settings.keys.clone().map(Keys::follow),
            tokens: Tokens::start(&settings.issuers)?,
        })
    }

    /// Who sends this.
    pub async fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<Sender, SenderError> {
        let said = headers.get(DEVICE_HEADER).map(header_text);
        let said = said.filter(|device| !device.is_empty()).map(Cow::into_owned);
        if self.keys.is_none() && self.tokens.is_none() {
            return Ok(Sender {
                id: String::new(),
                device: said,
            });
        }
        let credential = credential(headers);
        let token = credential.filter(|credential| self.keys.is_none() || Tokens::is_token(credential));
        if let (Some(tokens), Some(token)) = (&self.tokens, token) {
            let bearer = tokens.check(token).await.map_err(SenderError::Token)?;
            return Ok(Sender {
                id: bearer.id,
                // A device can't say that it is another one.
                device: bearer.device.or(said),
            });
        }
        let Some(keys) = self
            .keys
            .as_ref()
            .filter(|_| self.tokens.is_none() || credential.is_some())
        else {
            return Err(SenderError::Missing);
        };
        let connection = keys.check(credential, now).map_err(SenderError::Key)?;
        Ok(Sender {
            id: connection.to_string(),
            // One key may serve several devices.
            device: said.or_else(|| Some(connection.to_string())),
        })
    }
}

fn credential(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(KEY_HEADER) {
        return key.to_str().ok().filter(|key| !key.is_empty());
    }
    let (scheme, credential) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}
