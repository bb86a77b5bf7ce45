//! An issuer with a token endpoint for the client `our:id`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::{Engine, engine::general_purpose::STANDARD};
use daemon::{Listener, Shutdown};
use serde_json::{Value, json};

#[derive(Default)]
pub struct TokenIssuer {
    secret: String,
    /// What it says of each token's lifetime.
    pub expires_in: Mutex<Value>,
    /// The forms that were sent.
    pub asked: Mutex<Vec<String>>,
}

async fn token(State(issuer): State<Arc<TokenIssuer>>, headers: HeaderMap, form: String) -> (StatusCode, Json<Value>) {
    let wanted = format!("Basic {}", STANDARD.encode(format!("our%3Aid:{}", issuer.secret)));
    if headers
        .get("authorization")
        .is_none_or(|shown| shown.to_str().ok() != Some(&*wanted))
    {
        let refusal = json!({"error": "invalid_client", "error_description": "who are you?"});
        return (StatusCode::UNAUTHORIZED, Json(refusal));
    }
    let mut asked = issuer.asked.lock().unwrap();
    asked.push(form);
    let answer = json!({
        "access_token": format!("token-{}", asked.len()), "token_type": "Bearer",
        "expires_in": *issuer.expires_in.lock().unwrap(),
    });
    (StatusCode::OK, Json(answer))
}

/// Serves; gives its URL, too.
pub async fn issuer(secret: &str, expires_in: Value) -> (Arc<TokenIssuer>, String) {
    daemon::tls::install_provider();
    let issuer = Arc::new(TokenIssuer {
        secret: secret.to_owned(),
        expires_in: Mutex::new(expires_in),
        asked: Mutex::default(),
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("http://{}", listener.address());
    let discovery = json!({
        "issuer": authority, "jwks_uri": format!("{authority}/keys"), "token_endpoint": format!("{authority}/token"),
    });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(discovery)))
        .route("/token", post(token))
        .with_state(issuer.clone());
    tokio::spawn(async move { listener.serve(router, &Shutdown::new(), Duration::ZERO).await });
    (issuer, authority)
}
