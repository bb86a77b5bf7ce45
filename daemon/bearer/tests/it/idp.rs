//! An identity provider for tests: real keys, real HTTP(S), and switches to rotate and to fail.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daemon::{Listener, Shutdown, tls};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn claims(issuer: &str, audience: &str) -> Value {
    json!({"iss": issuer, "sub": "someone", "aud": audience, "exp": now() + 600, "nbf": now() - 1})
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([0; 64]))
}

pub struct Signer {
    header: Header,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub fn new(id: &str, algorithm: &str) -> Self {
        tls::install_provider();
        let algorithm: Algorithm = algorithm.parse().unwrap();
        let (key, jwk) = match algorithm {
            Algorithm::ES256 => elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::ES384 => elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            _ => rsa(),
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(id.to_owned());
        let mut jwk = jwk;
        jwk["kid"] = json!(id);
        jwk["use"] = json!("sig");
        Self { header, key, jwk }
    }

    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    pub fn sign(&self, claims: &Value) -> String {
        // A null claim stands for one that isn't there.
        let claims: serde_json::Map<_, _> = claims
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        jsonwebtoken::encode(&self.header, &claims, &self.key).unwrap()
    }
}

fn rsa() -> (EncodingKey, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public = pair.public_key();
    let (n, e) = (
        public.modulus().big_endian_without_leading_zero(),
        public.exponent().big_endian_without_leading_zero(),
    );
    let jwk = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)});
    // jsonwebtoken takes the inner PKCS#1 form, which PEM parsing unwraps.
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), jwk)
}

fn elliptic(algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm, curve: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let document = pair.to_pkcs8v1().unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(point.len() / 2);
    let jwk = json!({"kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
    (EncodingKey::from_ec_der(document.as_ref()), jwk)
}

pub struct Idp {
    shared: Arc<Shared>,
    authority: String,
    ca_bundle: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

struct Shared {
    keys: Mutex<Vec<Value>>,
    failing: AtomicBool,
    fetches: AtomicUsize,
}

impl Idp {
    pub async fn start(keys: Vec<Value>) -> Self {
        Self::serve(keys, false).await
    }

    pub async fn start_tls(keys: Vec<Value>) -> Self {
        Self::serve(keys, true).await
    }

    async fn serve(keys: Vec<Value>, with_tls: bool) -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared {
            keys: Mutex::new(keys),
            failing: AtomicBool::new(false),
            fetches: AtomicUsize::new(0),
        });
        let mut listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.address().port();
        let (mut authority, mut ca_bundle) = (format!("http://127.0.0.1:{port}/realm"), None);
        if with_tls {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let key =
                tls::certified_key(pair.cert.pem().as_bytes(), pair.signing_key.serialize_pem().as_bytes()).unwrap();
            listener = listener.with_tls(tls::server_config(tls::ReplaceableKey::new(key)).unwrap());
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, pair.cert.pem()).unwrap();
            (authority, ca_bundle) = (format!("https://localhost:{port}/realm"), Some(path));
        }
        let discovery = json!({"issuer": authority, "jwks_uri": format!("{authority}/keys")});
        let router = Router::new()
            .route(
                "/realm/.well-known/openid-configuration",
                get(async move || Json(discovery)),
            )
            .route("/realm/keys", get(publish))
            .with_state(shared.clone());
        tokio::spawn(async move { listener.serve(router, &Shutdown::new(), Duration::ZERO).await });
        Self {
            shared,
            authority,
            ca_bundle,
            _folder: folder,
        }
    }

    pub fn authority(&self) -> String {
        self.authority.clone()
    }

    pub fn ca_bundle(&self) -> Option<PathBuf> {
        self.ca_bundle.clone()
    }

    pub fn publish(&self, keys: Vec<Value>) {
        *self.shared.keys.lock().unwrap() = keys;
    }

    pub fn fail(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }

    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }
}

async fn publish(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.fetches.fetch_add(1, Ordering::SeqCst);
    if shared.failing.load(Ordering::SeqCst) {
        return Err(StatusCode::BAD_GATEWAY);
    }
    Ok(Json(json!({"keys": *shared.keys.lock().unwrap()})))
}
