//! A new operator restarts nothing, and what it has to tell to running servers they follow.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, connector, service};
use test_collector::Collector;

use crate::OPERATOR;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_chart_restarts_no_pod_and_names_a_collector() -> Result<()> {
    let alone = OPERATOR.write().await;
    let folder = tempfile::tempdir()?;
    let host = std::env::var("E2E_HOST").context("E2E_HOST is where pods reach this machine")?;
    let collector = Collector::start(folder.path(), &host, None);
    let cluster = Cluster::connect()?;
    let root = std::env::var("E2E_ROOT").context("E2E_ROOT names the workspace")?;
    let namespace = cluster.namespace("upgrade").await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.apply(&connector("vitals", "clinic", "")).await?;
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    namespace.until("fhir/clinic", "Ready", "True", "Serving").await?;
    let uids = async || {
        namespace
            .kubectl(&[
                "get",
                "pods",
                "-o",
                "jsonpath={.items[*].metadata.uid} {.items[*].status.containerStatuses[*].restartCount}",
            ])
            .await
    };
    let before = uids().await?;
    let helm = tokio::process::Command::new("helm")
        .args([
            "-n",
            "fhir-operator",
            "upgrade",
            "fhir-operator",
            &format!("{root}/charts/fhir-operator"),
            "--reuse-values",
            "--wait",
        ])
        .args(["--set-string", "podAnnotations.upgraded=yes"])
        .args([
            "--set",
            &format!("otlp.endpoint={},otlp.intervalSeconds=5", collector.endpoint),
        ])
        .output()
        .await
        .context("starting helm")?;
    ensure!(helm.status.success(), "{}", String::from_utf8_lossy(&helm.stderr));
    // the new operator has looked at everything once it has served something new
    namespace.apply(&service("other", "R4", "")).await?;
    namespace.until("fhir/other", "Ready", "True", "Serving").await?;
    namespace
        .kubectl(&["delete", "fhir/other", "--cascade=foreground"])
        .await?;
    ensure!(before == uids().await?, "a pod was restarted by a new operator");
    drop(alone);
    // the kubelet may take a minute and more to renew a mounted file
    collector.until("fhir_operator_leader", &["Value: 1.000000"]).await;
    collector
        .until("iot_connector_backlog", &["-> connector: Str(vitals)"])
        .await;
    collector
        .until("fhir_server_process_open_fds", &["DataType: Gauge"])
        .await;
    let received = collector.received();
    for line in [
        format!("-> k8s.namespace.name: Str({})", namespace.name),
        "-> k8s.statefulset.name: Str(vitals-iot)".to_owned(),
        "-> service.instance.id: Str(clinic-fhir-0)".to_owned(),
    ] {
        ensure!(received.contains(&line), "{line}: {received}");
    }
    ensure!(before == uids().await?, "a pod was restarted by a collector's name");
    namespace.delete().await
}
