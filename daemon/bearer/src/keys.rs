//! A set of public keys, as published in a JWKS document (RFC 7517).

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The keys of one issuer at one time.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    kind: Kind,
    algorithm: Option<Algorithm>,
    public: DecodingKey,
    /// The document's text, to tell a changed key from the same one.
    text: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Takes the keys that we can verify with; others (encryption keys, unknown types) are left out.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document<'_> = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().filter_map(|raw| {
            let published: Published = serde_json::from_str(raw.get()).ok()?;
            Key::new(published, raw.get())
        });
        Ok(Self { keys: keys.collect() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether both hold the same keys.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .keys
                .iter()
                .all(|key| other.keys.iter().any(|o| o.text == key.text))
    }

    /// The keys that may have signed a token with this header.
    pub(crate) fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        self.keys
            .iter()
            .filter(move |key| key.named(id) && key.fits(algorithm))
            .map(|key| &key.public)
    }

    /// Whether a key of this id is known, whatever it is for.
    pub(crate) fn knows(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.named(id))
    }
}

impl Key {
    fn new(published: Published, text: &str) -> Option<Self> {
        if published.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (kind, public) = match (published.kty.as_str(), published.crv.as_deref()) {
            ("RSA", _) => (
                Kind::Rsa,
                DecodingKey::from_rsa_components(&published.n?, &published.e?),
            ),
            ("EC", Some("P-256")) => (
                Kind::P256,
                DecodingKey::from_ec_components(&published.x?, &published.y?),
            ),
            ("EC", Some("P-384")) => (
                Kind::P384,
                DecodingKey::from_ec_components(&published.x?, &published.y?),
            ),
            _ => return None,
        };
        let algorithm = match published.alg {
            None => None,
            Some(name) => Some(accepted(&name)?),
        };
        Some(Self {
            id: published.kid,
            kind,
            algorithm,
            public: public.ok()?,
            text: text.to_owned(),
        })
    }

    fn named(&self, id: Option<&str>) -> bool {
        match (id, &self.id) {
            (Some(wanted), Some(own)) => wanted == own,
            // A token without a key id is tried with every key, and a key without an id with every token.
            (None, _) | (_, None) => true,
        }
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Kind::Rsa,
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            _ => return false,
        };
        kind == self.kind && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// The algorithms that are accepted, by name: asymmetric ones only.
pub(crate) fn accepted(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        _ => return None,
    })
}
