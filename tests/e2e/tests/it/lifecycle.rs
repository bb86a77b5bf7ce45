//! Deletion in each order, retained data and its adoption, pause, suspend, an operator killed in mid-work.

use anyhow::{Result, ensure};
use e2e::{Cluster, Fhir, connector, eventually, service};
use serde_json::json;

use crate::OPERATOR;

#[tokio::test(flavor = "multi_thread")]
async fn deletion_in_each_order() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("deletion").await?;
    for first in ["fhir/clinic", "iot/vitals"] {
        namespace
            .apply(&service(
                "clinic",
                "R4",
                "  adoptExisting: true\n  deletionPolicy: Delete\n",
            ))
            .await?;
        namespace
            .apply(&connector("vitals", "clinic", "  deletionPolicy: Delete\n"))
            .await?;
        namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
        namespace.kubectl(&["delete", first]).await?;
        if first == "fhir/clinic" {
            // the connector keeps its place and its messages, and says what is missing
            namespace
                .until("iot/vitals", "Ready", "False", "FhirServiceNotFound")
                .await?;
            namespace.kubectl(&["delete", "iot/vitals"]).await?;
        } else {
            namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
            namespace.kubectl(&["delete", "fhir/clinic"]).await?;
        }
        eventually("everything is gone", || async {
            for kind in ["statefulsets", "pvc", "services", "networkpolicies", "pods"] {
                let left = namespace.list(kind).await?;
                ensure!(left.is_empty(), "{} {kind} left", left.len());
            }
            Ok(())
        })
        .await?;
    }
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_data_is_adopted_only_on_request() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("retain").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    let patient = json!({"resourceType": "Patient", "id": "kept", "active": true});
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    ensure!(fhir.send("PUT", "Patient/kept", Some(&patient)).await?.0 == 201);
    namespace.kubectl(&["delete", "fhir/clinic"]).await?;
    namespace.until_gone("statefulset/clinic-fhir").await?;
    ensure!(namespace.list("pvc").await?.len() == 1, "the volume stays");

    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace
        .until("fhir/clinic", "DatabaseReady", "False", "DataExists")
        .await?;
    namespace
        .apply(&service("clinic", "R4", "  adoptExisting: true\n"))
        .await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    let fhir = Fhir::open(&namespace, "clinic", Some("default")).await?;
    ensure!(
        fhir.send("GET", "Patient/kept", None).await?.0 == 200,
        "the data is there"
    );
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn suspend_keeps_the_data_and_runs_nothing() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("suspend").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    namespace.apply(&service("clinic", "R4", "  suspend: true\n")).await?;
    namespace
        .until("fhir/clinic", "WorkloadReady", "False", "Suspended")
        .await?;
    eventually("nothing runs", || async {
        ensure!(namespace.list("pods").await?.is_empty());
        Ok(())
    })
    .await?;
    ensure!(namespace.list("pvc").await?.len() == 1);
    namespace.apply(&service("clinic", "R4", "  suspend: false\n")).await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_is_left_alone() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("pause").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    namespace
        .kubectl(&["annotate", "fhir/clinic", "fhir-operator.dev/paused=true"])
        .await?;
    namespace.until("fhir/clinic", "Paused", "True", "Paused").await?;
    namespace.kubectl(&["delete", "service/clinic"]).await?;
    namespace.apply(&service("other", "R4", "")).await?;
    namespace.until("fhir/other", "Ready", "True", "Serving").await?;
    ensure!(
        namespace.get("service/clinic").await?.is_none(),
        "nothing is repaired while paused"
    );
    namespace
        .kubectl(&["annotate", "fhir/clinic", "fhir-operator.dev/paused-"])
        .await?;
    eventually("it is repaired", || async {
        ensure!(namespace.get("service/clinic").await?.is_some());
        Ok(())
    })
    .await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_in_mid_work_leaves_nothing_half_done() -> Result<()> {
    let _alone = OPERATOR.write().await;
    let cluster = Cluster::connect()?;
    let namespace = cluster.namespace("restart").await?;
    for name in ["alpha", "beta", "gamma"] {
        namespace.apply(&service(name, "R4", "")).await?;
        cluster
            .kubectl(&[
                "-n",
                "fhir-operator",
                "delete",
                "pods",
                "--all",
                "--grace-period=0",
                "--force",
                "--wait=false",
            ])
            .await?;
    }
    cluster
        .kubectl(&[
            "-n",
            "fhir-operator",
            "rollout",
            "status",
            "deployment/fhir-operator",
            "--timeout=120s",
        ])
        .await?;
    for name in ["alpha", "beta", "gamma"] {
        namespace
            .until(&format!("fhir/{name}"), "Ready", "True", "Serving")
            .await?;
    }
    namespace.delete().await
}
