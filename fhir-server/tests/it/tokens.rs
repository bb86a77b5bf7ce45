//! An issuer whose keys are a file, and its tokens.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir_server_settings::{Access, Grant, Issuer, Role, Subject};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub const AUTHORITY: &str = "https://issuer.example.org";
pub const AUDIENCE: &str = "https://clinic.example.org";

/// Signs with one key.
pub struct Signer {
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub fn new() -> Self {
        daemon::tls::install_provider();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let document = pair.to_pkcs8v1().expect("PKCS #8");
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        Self {
            key: EncodingKey::from_ec_der(document.as_ref()),
            jwk,
        }
    }

    /// Writes the file with the public key.
    pub fn publish(&self, path: &Path) {
        std::fs::write(path, json!({"keys": [self.jwk]}).to_string()).expect("the file");
    }

    /// `Bearer …` for a subject; `changed` claims take the place of the usual ones.
    pub fn bearer(&self, subject: &str, changed: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let mut claims = json!({"iss": AUTHORITY, "aud": AUDIENCE, "sub": subject, "exp": now + 600});
        for (name, value) in changed.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".to_owned());
        let token = jsonwebtoken::encode(&header, &claims, &self.key).expect("a token");
        format!("Bearer {token}")
    }
}

/// The issuer, and roles by subject.
pub fn access(keys: &Path, roles: &[(&str, Role)]) -> Access {
    let grant = |(subject, role): &(&str, Role)| Grant {
        role: *role,
        subjects: vec![Subject {
            issuer: Some(AUTHORITY.to_owned()),
            claim: "sub".to_owned(),
            value: (*subject).to_owned(),
        }],
    };
    Access {
        issuers: vec![Issuer {
            authority: AUTHORITY.to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            jwks_file: Some(keys.to_owned()),
            ca_file: None,
        }],
        grants: roles.iter().map(grant).collect(),
    }
}
