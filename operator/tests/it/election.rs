//! Leader election and the certificates that all replicas share.

use std::time::Duration;

use base64::Engine;
use daemon::tls::ReplaceableKey;
use daemon::{Health, Shutdown};
use fhir_operator::certificates::{Authority, Endpoint, Keeper};
use fhir_operator::kubernetes::lease::{Candidate, Claim};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::api::Api;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/fhir-operator/leases/fhir-operator";

fn campaign(api: &Api, identity: &str, stop: &Shutdown) -> watch::Receiver<Claim> {
    let (candidate, claim) = Candidate::new(api.client(), "fhir-operator", "fhir-operator", identity);
    let stop = stop.clone();
    tokio::spawn(candidate.run(async move { stop.requested().await }));
    claim
}

#[tokio::test]
async fn one_leads_and_the_other_takes_over_when_it_is_given_back() {
    let api = Api::new();
    let (first_stop, second_stop) = (Shutdown::new(), Shutdown::new());
    let mut first = campaign(&api, "first", &first_stop);
    first.wait_for(|claim| claim.is_held()).await.unwrap();
    let mut second = campaign(&api, "second", &second_stop);
    assert!(first.borrow().leaves(Duration::from_secs(5)));
    assert!(!second.borrow().is_held());
    first_stop.request();
    second.wait_for(|claim| claim.is_held()).await.unwrap();
    assert!(!first.borrow().is_held());
    assert_eq!(api.get(LEASE).unwrap()["spec"]["holderIdentity"], "second");
    second_stop.request();
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_only_after_its_time() {
    let api = Api::new();
    api.put(
        LEASE,
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "fhir-operator"},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "leaseTransitions": 3},
        }),
    );
    let stop = Shutdown::new();
    let started = tokio::time::Instant::now();
    let mut claim = campaign(&api, "next", &stop);
    claim.wait_for(|claim| claim.is_held()).await.unwrap();
    assert!(started.elapsed() > Duration::from_secs(15));
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(api.get(LEASE).unwrap()["spec"]["leaseTransitions"], 4);
    stop.request();
}

const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/fhir-operator";
const SECRET: &str = "/api/v1/namespaces/fhir-operator/secrets/webhook-ca";

fn webhook_configuration() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "fhir-operator"},
        "webhooks": [{
            "name": "rules.fhir-operator.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"name": "webhook", "namespace": "fhir-operator"}},
        }],
    })
}

/// Keeps certificates as one replica with that claim would, until the stop; `ready` when the API server trusts it.
fn keep(api: &Api, replica: &str, claim: Claim, health: &Health, stop: &Shutdown) {
    let now = jiff::Timestamp::now();
    let first = Authority::generate(now)
        .unwrap()
        .leaf("webhook.fhir-operator.svc", now)
        .unwrap();
    let keeper = Keeper {
        client: api.client(),
        endpoint: Endpoint {
            namespace: "fhir-operator".to_owned(),
            service: "webhook".to_owned(),
            secret: "webhook-ca".to_owned(),
            configuration: "fhir-operator".to_owned(),
        },
        served: ReplaceableKey::new(first.certified_key().unwrap()),
        trusted: health.gate(replica),
        claim: watch::Sender::new(claim).subscribe(),
    };
    tokio::spawn(keeper.run(stop.clone()));
}

fn trusted(api: &Api) -> String {
    let bundle = api.get(CONFIGURATION).unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(bundle.as_str().unwrap_or_default())
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn replicas_share_one_authority_and_the_api_server_is_told() {
    daemon::tls::install_provider();
    let api = Api::new();
    api.put(CONFIGURATION, webhook_configuration());
    let (health, stop) = (Health::new(), Shutdown::new());
    for replica in ["a", "b"] {
        keep(&api, replica, Claim::NONE, &health, &stop);
    }
    api.until("both to be trusted", |_| health.ready().ok()).await;
    assert_eq!(api.paths("/api/v1/namespaces/fhir-operator/secrets/"), [SECRET]);
    assert_eq!(trusted(&api).matches("BEGIN CERTIFICATE").count(), 1);
    stop.request();
}

#[tokio::test]
async fn an_authority_that_ends_soon_is_exchanged_by_the_leader_and_both_are_trusted() {
    daemon::tls::install_provider();
    let api = Api::new();
    api.put(CONFIGURATION, webhook_configuration());
    let (health, stop) = (Health::new(), Shutdown::new());
    keep(&api, "first", Claim::NONE, &health, &stop);
    api.until("the first authority", |_| health.ready().ok()).await;
    stop.request();
    api.edit(SECRET, |secret| {
        secret["metadata"]["annotations"]["fhir-operator.dev/not-after"] = json!("2026-01-01T00:00:00Z");
    });
    let before = trusted(&api);

    let (health, stop) = (Health::new(), Shutdown::new());
    keep(&api, "standby", Claim::NONE, &health, &stop);
    api.until("the standby", |_| health.ready().ok()).await;
    assert_eq!(trusted(&api), before, "a standby exchanges nothing");
    let lease = tokio::time::Instant::now() + Duration::from_mins(1);
    keep(&api, "leader", Claim::until(lease), &health, &stop);
    api.until("both authorities", |api| {
        (trusted(api).matches("BEGIN CERTIFICATE").count() == 2).then_some(())
    })
    .await;
    assert!(trusted(&api).contains(&before));
    stop.request();
}
