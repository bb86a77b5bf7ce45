//! The connector gets its token for the FHIR server from an issuer.

use iot_connector_settings::ClientCredentials;
use serde_json::json;

use crate::{
    support::{Fhir, Running, Scripted, settings, until},
    token_issuer::issuer,
};

#[tokio::test]
async fn tokens_of_an_issuer_are_shown_and_fetched_anew_when_they_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (fhir, url) = Fhir::start().await;
    let (issuer, authority) = issuer("our-secret", json!(3600)).await;
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let mut settings = settings(folder.path(), &url);
    settings.fhir_server.client_credentials = Some(ClientCredentials {
        authority,
        client_id: "our:id".to_owned(),
        client_secret_file: secret.clone(),
        ..ClientCredentials::default()
    });
    let connector = Running::start(settings).await;
    let reading = |minute: u32| json!({"device": "d", "patient": "p", "time": format!("2026-01-01T10:{minute:02}:00Z"), "heartrate": 60});
    assert_eq!(connector.send(reading(0)).await, 202);
    let told = until(async || {
        let page = connector.status().await;
        let message = page["fhirMessage"].as_str().unwrap_or_default().to_owned();
        message.contains("invalid_client").then_some(message)
    });
    let told = told.await;
    assert!(told.contains("no token from `http://127.0.0.1:"), "{told}");
    assert!(fhir.requests().is_empty(), "nothing is asked without a token");

    std::fs::write(&secret, "our-secret").unwrap();
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 1);
    assert_eq!(fhir.authorization().as_deref(), Some("Bearer token-1"));

    fhir.always(Some(Scripted {
        status: 401,
        retry_after: None,
    }));
    assert_eq!(connector.send(reading(1)).await, 202);
    until(async || (issuer.asked.lock().unwrap().len() > 1).then_some(())).await;
    fhir.always(None);
    connector.idle().await;
    assert_eq!(fhir.all("Observation").len(), 2, "it waited, and nothing is lost");
    assert_ne!(fhir.authorization().as_deref(), Some("Bearer token-1"));
    connector.stop().await;
}
