//! The parts of a token before anything of it is believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{BearerError, keys::accepted};

/// Tokens longer than this aren't looked at.
const MAX_LENGTH: usize = 16 * 1024;

/// A token taken apart; its claims are not verified.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) issuer: String,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, BearerError> {
        if text.len() > MAX_LENGTH {
            return Err(BearerError::Malformed("it is too long"));
        }
        let parts = text.rsplit_once('.').and_then(|(signed, signature)| {
            let (header, claims) = signed.split_once('.')?;
            (!claims.contains('.')).then_some((signed, signature, header, claims))
        });
        let (signed, signature, header, claims) = parts.ok_or(BearerError::Malformed("it hasn't three parts"))?;
        let header: Header = decode(header, "its header can't be read")?;
        if header.crit.is_some() {
            return Err(BearerError::Malformed("it has critical extensions"));
        }
        let algorithm = accepted(&header.alg).ok_or_else(|| BearerError::Algorithm(shorten(&header.alg)))?;
        let claims: Map<String, Value> = decode(claims, "its claims can't be read")?;
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .ok_or(BearerError::Malformed("it names no issuer"))?;
        Ok(Self {
            algorithm,
            key_id: header.kid,
            issuer: issuer.to_owned(),
            claims,
            signed,
            signature,
        })
    }

    /// Whether the key made the signature.
    pub(crate) fn is_signed_by(&self, key: &DecodingKey) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm).unwrap_or(false)
    }

    /// Checks audience and validity at `now` (seconds) and gives the claims with their expiry.
    pub(crate) fn valid(
        self,
        audiences: &[String],
        now: i64,
        leeway: i64,
    ) -> Result<(Map<String, Value>, i64), BearerError> {
        let expires = seconds(self.claims.get("exp")).ok_or(BearerError::Expired)?;
        if now >= expires.saturating_add(leeway) {
            return Err(BearerError::Expired);
        }
        if let Some(begin) = self.claims.get("nbf") {
            let begin = seconds(Some(begin)).ok_or(BearerError::Malformed("its `nbf` isn't a time"))?;
            if now.saturating_add(leeway) < begin {
                return Err(BearerError::NotYet);
            }
        }
        let wanted = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| audiences.iter().any(|own| own == text))
        };
        let named = match self.claims.get("aud") {
            Some(Value::Array(values)) => values.iter().any(wanted),
            Some(value) => wanted(value),
            None => false,
        };
        if !named {
            return Err(BearerError::Audience);
        }
        Ok((self.claims, expires))
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str, problem: &'static str) -> Result<T, BearerError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| BearerError::Malformed(problem))?;
    serde_json::from_slice(&bytes).map_err(|_| BearerError::Malformed(problem))
}

/// A `NumericDate` (RFC 7519, section 2): seconds, fractions allowed.
fn seconds(value: Option<&Value>) -> Option<i64> {
    let number = value?.as_number()?;
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let fraction = number
        .as_f64()
        .filter(|seconds| seconds.is_finite() && seconds.abs() < 1e15)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
    Some(fraction.floor() as i64)
}

/// What is quoted in messages and logs stays short.
pub(crate) fn shorten(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(120)
        .collect()
}
