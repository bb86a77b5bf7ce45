//! Leader election and the certificates that all replicas share.

use std::time::Duration;

use daemon::tls::ReplaceableKey;
use daemon::{Health, Shutdown};
use fhir_operator::certificates::{Authority, Endpoint, Keeper};
use fhir_operator::kubernetes::lease::{Candidate, Claim};
use serde_json::json;
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

#[tokio::test]
async fn replicas_share_one_authority_and_the_api_server_is_told() {
    daemon::tls::install_provider();
    let api = Api::new();
    let configuration = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/fhir-operator";
    api.put(
        configuration,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "fhir-operator"},
            "webhooks": [{
                "name": "rules.fhir-operator.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None", "type": "x",
                "clientConfig": {"service": {"name": "webhook", "namespace": "fhir-operator"}},
            }],
        }),
    );
    let (health, stop) = (Health::new(), Shutdown::new());
    let (_sender, claim) = watch::channel(Claim::NONE);
    let now = jiff::Timestamp::now();
    for replica in ["a", "b"] {
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
            claim: claim.clone(),
        };
        tokio::spawn(keeper.run(stop.clone()));
    }
    api.until("both to be trusted", |_| health.ready().ok()).await;
    let secrets = api.paths("/api/v1/namespaces/fhir-operator/secrets/");
    assert_eq!(secrets.len(), 1);
    let authority = api.get(&secrets[0]).unwrap()["data"]["ca.crt"].clone();
    assert!(authority.is_string());
    stop.request();
}
