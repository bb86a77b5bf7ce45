//! Without the webhook the controllers enforce the same rules, with the same words in a condition.

use anyhow::{Result, ensure};
use e2e::{Cluster, connector, service, tenant};

use crate::OPERATOR;

const CONFIGURATION: &str = "validatingwebhookconfiguration/fhir-operator";

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_holds_without_the_webhook() -> Result<()> {
    let _alone = OPERATOR.write().await;
    let cluster = Cluster::connect()?;
    let saved = cluster.kubectl(&["get", CONFIGURATION, "-o", "yaml"]).await?;
    cluster.kubectl(&["delete", CONFIGURATION]).await?;
    let outcome = rules(cluster).await;
    let owned = |line: &&str| {
        ["resourceVersion:", "uid:"]
            .iter()
            .any(|field| line.trim_start().starts_with(field))
    };
    let clean = saved.lines().filter(|line| !owned(line)).collect::<Vec<_>>().join("\n");
    cluster.apply(&clean).await?;
    outcome
}

async fn rules(cluster: Cluster) -> Result<()> {
    let namespace = cluster.namespace("bare").await?;
    let name = namespace.name.clone();
    cluster.apply(&tenant(&name, &[&name], 2)).await?;
    namespace.apply(&service("archive", "STU3", "")).await?;
    namespace.apply(&connector("scales", "archive", "")).await?;
    namespace
        .until("iot/scales", "Ready", "False", "FhirVersionNotSupported")
        .await?;

    let link = "  networking:\n    privateLink: {allowedNamespaces: {matchLabels: {a: b}}}\n";
    namespace.apply(&service("linked", "R4", link)).await?;
    namespace
        .until("fhir/linked", "PrivateLinkReady", "True", "InForce")
        .await?;
    namespace.apply(&connector("late", "linked", "")).await?;
    namespace
        .until("iot/late", "Ready", "False", "PrivateLinkEnabled")
        .await?;

    namespace.apply(&service("clinic", "R4", "")).await?;
    for connector_name in ["first", "second"] {
        namespace.apply(&connector(connector_name, "clinic", "")).await?;
        namespace
            .until(&format!("iot/{connector_name}"), "Admitted", "True", "Admitted")
            .await?;
    }
    namespace.apply(&connector("third", "clinic", "")).await?;
    let third = namespace.until("iot/third", "Ready", "False", "QuotaExceeded").await?;
    ensure!(
        third
            .to_string()
            .contains("Reached the maximum number of IoT Connector instances"),
        "{}",
        third["status"]
    );
    namespace.apply(&service("clinic", "R4", link)).await?;
    namespace
        .until("fhir/clinic", "PrivateLinkReady", "False", "IotConnectorInstalled")
        .await?;
    namespace.until("iot/first", "Ready", "True", "Ingesting").await?;
    cluster.kubectl(&["delete", "tenant", &name]).await?;
    namespace.delete().await
}
