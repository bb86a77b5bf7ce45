//! Tokens that a program gets for its credentials.

use std::path::Path;
use std::time::Duration;

use bearer::{Client, Credentials};
use serde_json::json;

use crate::token_issuer::issuer;

fn client(authority: &str, folder: &Path) -> Client {
    let credentials = Credentials {
        authority: authority.to_owned(),
        client_id: "our:id".to_owned(),
        secret_file: folder.join("secret"),
        scope: Some("system/*.cruds".to_owned()),
        ca_bundle: None,
    };
    Client::new(credentials).unwrap()
}

#[tokio::test]
async fn a_token_is_kept_until_its_time_is_over_or_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "one\n").unwrap();
    let (issuer, authority) = issuer("one", json!(3600)).await;
    let client = client(&authority, folder.path());
    let (first, second) = tokio::join!(client.token(), client.token());
    assert_eq!((&*first.unwrap(), &*second.unwrap()), ("token-1", "token-1"));
    assert_eq!(
        *issuer.asked.lock().unwrap(),
        ["grant_type=client_credentials&scope=system%2F*.cruds"]
    );

    client.refused("another").await;
    assert_eq!(&*client.token().await.unwrap(), "token-1");
    client.refused("token-1").await;
    *issuer.expires_in.lock().unwrap() = json!("0");
    assert_eq!(&*client.token().await.unwrap(), "token-2");
    assert_eq!(&*client.token().await.unwrap(), "token-3", "the one before is over");
}

#[tokio::test]
async fn why_there_is_no_token_is_told_and_a_new_secret_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (_issuer, authority) = issuer("two", json!(null)).await;
    let client = client(&authority, folder.path());
    let said = client.token().await.unwrap_err().to_string();
    assert!(said.contains("secret` can't be read"), "{said}");

    let later = async || tokio::time::sleep(Duration::from_millis(2100)).await;
    std::fs::write(folder.path().join("secret"), "one").unwrap();
    assert_eq!(
        client.token().await.unwrap_err().to_string(),
        said,
        "it isn't asked at once again"
    );
    later().await;
    let said = client.token().await.unwrap_err().to_string();
    assert!(
        said.ends_with("it answers 401 Unauthorized invalid_client: who are you?"),
        "{said}"
    );
    assert!(!said.contains("one"), "{said}");

    std::fs::write(folder.path().join("secret"), "two").unwrap();
    later().await;
    assert_eq!(&*client.token().await.unwrap(), "token-1");
}

#[tokio::test]
async fn credentials_go_over_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = Credentials {
        authority: "http://login.example".to_owned(),
        client_id: "id".to_owned(),
        secret_file: folder.path().join("secret"),
        scope: None,
        ca_bundle: None,
    };
    let error = Client::new(credentials).err().unwrap().to_string();
    assert!(error.contains("isn't an `https://` URL"), "{error}");
}
