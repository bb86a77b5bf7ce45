//! Private Link and IoT connectors exclude each other, either way round; its policy is in force.

use anyhow::{Result, ensure};
use e2e::{Cluster, Namespace, connector, eventually, service};
use serde_json::json;

use crate::OPERATOR;

const LINK: &str = "  networking:\n    privateLink: {allowedNamespaces: {matchLabels: {clinic: friend}}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_there_first_stays() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("exclude").await?;
    namespace.apply(&service("linked", "R4", LINK)).await?;
    namespace.until("fhir/linked", "Ready", "True", "Serving").await?;
    let refusal = namespace.refused(&connector("late", "linked", "")).await?;
    ensure!(refusal.contains("Private Link"), "{refusal}");

    namespace.apply(&service("open", "R4", "")).await?;
    namespace.apply(&connector("early", "open", "")).await?;
    namespace.until("iot/early", "Admitted", "True", "Admitted").await?;
    let refusal = namespace.refused(&service("open", "R4", LINK)).await?;
    ensure!(refusal.contains("early"), "the refusal names what to change: {refusal}");
    namespace.until("iot/early", "Ready", "True", "Ingesting").await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_namespaces_reach_a_linked_service() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let cluster = Cluster::connect()?;
    let namespace = cluster.namespace("linked").await?;
    let friend = cluster.namespace("friend").await?;
    let stranger = cluster.namespace("stranger").await?;
    cluster
        .kubectl(&["label", "namespace", &friend.name, "clinic=friend"])
        .await?;
    namespace.apply(&service("clinic", "R4", LINK)).await?;
    namespace
        .until("fhir/clinic", "PrivateLinkReady", "True", "InForce")
        .await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    for (from, reaches) in [(&friend, true), (&stranger, false), (&namespace, false)] {
        start_client(from).await?;
        let url = format!("http://clinic.{}.svc/metadata", namespace.name);
        eventually(&format!("{} reaches the service: {reaches}", from.name), || async {
            let got = from.kubectl(&["exec", "client", "--", "/tool", "get", &url]).await;
            ensure!(got.is_ok() == reaches, "{got:?}");
            Ok(())
        })
        .await?;
    }
    for namespace in [namespace, friend, stranger] {
        namespace.delete().await?;
    }
    Ok(())
}

/// A pod that can send requests.
async fn start_client(namespace: &Namespace) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "client", "image": "fhir-operator.dev/tool:1", "imagePullPolicy": "Never", "args": ["pause"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    namespace.apply(&pod.to_string()).await?;
    namespace
        .kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"])
        .await?;
    Ok(())
}
