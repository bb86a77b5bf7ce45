//! A new operator restarts nothing.

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, connector, service};

use crate::OPERATOR;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_chart_restarts_no_pod() -> Result<()> {
    let _alone = OPERATOR.write().await;
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
    namespace.delete().await
}
