//! Devices and gateways that show a bearer token of a real issuer, over real HTTP(S).

use iot_connector_settings::{ConnectionKey, ConnectionKeys, Issuer};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    idp::{Idp, Signer, claims, now},
    ingest::sha256,
    support::{Fhir, Running, get_json, settings, until},
};

const AUDIENCE: &str = "vitals";

fn issuer(idp: &Idp, device_claim: Option<&str>) -> Issuer {
    Issuer {
        authority: idp.authority(),
        audiences: vec![AUDIENCE.to_owned()],
        jwks_file: None,
        ca_file: idp.ca_bundle(),
        device_claim: device_claim.map(str::to_owned),
    }
}

fn post(connector: &Running, credential: &str) -> RequestBuilder {
    let request = reqwest::Client::new().post(&connector.messages).body("not JSON");
    request.bearer_auth(credential)
}

/// The device of the only dead letter, which is taken away then.
async fn device_of(connector: &Running) -> Value {
    let letter = until(async || connector.dead_letters().await.pop()).await;
    let url = format!("{}/dead-letters/{}", connector.management, letter["id"]);
    let whole = get_json(&url).await;
    reqwest::Client::new().delete(&url).send().await.unwrap();
    whole["systemProperties"]["iothub-connection-device-id"].clone()
}

fn challenge(response: &Response) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_a_device_or_a_gateway_send() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let (of_devices, of_gateways) = (Signer::new("d", "ES256"), Signer::new("g", "RS256"));
    let devices = Idp::start_tls(vec![of_devices.jwk()]).await;
    let gateways = Idp::start(vec![of_gateways.jwk()]).await;
    let keys = ConnectionKeys {
        keys: vec![ConnectionKey {
            connection: "ward".to_owned(),
            sha256: sha256("a key"),
            not_after: None,
        }],
    };
    let path = folder.path().join("keys.json");
    std::fs::write(&path, serde_json::to_string(&keys).unwrap()).unwrap();
    let mut settings = settings(folder.path(), &url);
    settings.anonymous = false;
    settings.keys = Some(path);
    settings.issuers = vec![issuer(&devices, Some("device")), issuer(&gateways, None)];
    let connector = Running::start(settings).await;

    let mut of_device = claims(&devices.authority(), AUDIENCE);
    of_device["device"] = json!("monitor-1");
    let device_token = of_devices.sign(&of_device);
    let gateway_token = of_gateways.sign(&claims(&gateways.authority(), AUDIENCE));
    // until the issuers have answered, a token can't be judged
    until(async || Some(post(&connector, &device_token).send().await.unwrap()).filter(|r| r.status() == 202)).await;
    assert_eq!(device_of(&connector).await, "monitor-1");
    for (credential, said, device) in [
        (device_token.as_str(), Some("another"), json!("monitor-1")),
        (&gateway_token, Some("monitor-2"), json!("monitor-2")),
        (&gateway_token, None, Value::Null),
        ("a key", None, json!("ward")),
        ("a key", Some("monitor-3"), json!("monitor-3")),
    ] {
        let mut request = post(&connector, credential);
        if let Some(said) = said {
            request = request.header("x-device-id", said);
        }
        let answer = until(async || {
            let answer = request.try_clone()?.send().await.unwrap();
            Some(answer).filter(|answer| answer.status() != 503)
        });
        assert_eq!(answer.await.status(), 202, "{credential}");
        assert_eq!(device_of(&connector).await, device, "{credential} {said:?}");
    }

    let changed = |name: &str, value: Value| {
        let mut claims = of_device.clone();
        claims[name] = value;
        of_devices.sign(&claims)
    };
    for (token, told) in [
        (changed("exp", json!(now() - 600)), "the token is expired"),
        (
            changed("aud", json!("others")),
            "the token's audience isn't this service",
        ),
        (changed("iss", json!("https://elsewhere")), "isn't trusted here"),
        (changed("device", Value::Null), "the token has no claim `device`"),
        (of_gateways.sign(&of_device), "isn't one of its issuer's"),
    ] {
        let refused = post(&connector, &token).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{told}");
        assert!(
            challenge(&refused).starts_with("Bearer error=\"invalid_token\""),
            "{told}"
        );
        let text = refused.text().await.unwrap();
        assert!(text.contains(told), "{text}");
    }
    let nothing = reqwest::Client::new().post(&connector.messages).send().await.unwrap();
    assert_eq!((nothing.status().as_u16(), challenge(&nothing)), (401, "Bearer"));
    assert!(
        nothing
            .text()
            .await
            .unwrap()
            .contains("a bearer token or a connection key")
    );
    connector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let signer = Signer::new("d", "ES256");
    let idp = Idp::start(vec![signer.jwk()]).await;
    idp.fail(true);
    let mut settings = settings(folder.path(), &url);
    settings.anonymous = false;
    settings.issuers = vec![issuer(&idp, Some("sub"))];
    let connector = Running::start(settings).await;
    let token = signer.sign(&claims(&idp.authority(), AUDIENCE));
    let refused = post(&connector, &token).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "10");
    // without keys every credential is a token
    assert_eq!(post(&connector, "a key").send().await.unwrap().status(), 401);
    connector.stop().await;
}
