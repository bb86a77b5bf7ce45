//! Who is admitted: quotas are exact under any race, and nobody who has a place loses it.

use anyhow::{Result, ensure};
use e2e::{Cluster, Namespace, connector, eventually, service, tenant};
use serde_json::Value;

use crate::OPERATOR;

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn names_with(objects: &[Value], kind: &str, status: &str) -> Vec<String> {
    let with = objects
        .iter()
        .filter(|o| condition(o, kind).is_some_and(|c| c["status"] == status));
    with.filter_map(|o| o["metadata"]["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Waits until every connector has an answer, and gives the admitted ones.
async fn settled(namespace: &Namespace, count: usize) -> Result<Vec<String>> {
    eventually("every connector has an answer", || async {
        let all = namespace.list("iot").await?;
        let admitted = names_with(&all, "Admitted", "True");
        let refused = names_with(&all, "Admitted", "False");
        ensure!(
            admitted.len() + refused.len() == count,
            "{} + {} of {count}",
            admitted.len(),
            refused.len()
        );
        Ok(admitted)
    })
    .await
}

async fn race(quota: u32) -> Result<()> {
    let cluster = Cluster::connect()?;
    let namespace = cluster.namespace("race").await?;
    cluster
        .apply(&tenant(&namespace.name, &[&namespace.name], quota))
        .await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("fhir/clinic", "Admitted", "True", "Admitted").await?;
    let creates = (0..20).map(|i| {
        let namespace = namespace.clone();
        tokio::spawn(async move { namespace.create(&connector(&format!("conn-{i}"), "clinic", "")).await })
    });
    let mut stored = 0;
    for create in creates.collect::<Vec<_>>() {
        match create.await? {
            Ok(_) => stored += 1,
            Err(error) => ensure!(
                format!("{error:#}").contains("Reached the maximum number of IoT Connector instances"),
                "another refusal: {error:#}"
            ),
        }
    }
    let quota = quota as usize;
    ensure!(stored >= quota, "only {stored} were stored");
    let admitted = settled(&namespace, stored).await?;
    ensure!(admitted.len() == quota, "{} admitted: {admitted:?}", admitted.len());
    // whoever has no place has nothing provisioned
    let sets = namespace.list("statefulsets").await?;
    let connectors = sets
        .iter()
        .filter(|s| s["metadata"]["labels"]["app.kubernetes.io/name"] == "iot-connector");
    ensure!(connectors.count() <= quota, "more workloads than places");
    // a freed place goes to one of those that wait, and nobody else moves
    if stored > quota {
        namespace.kubectl(&["delete", "iot", &admitted[0]]).await?;
        let kept = eventually("the freed place is taken", || async {
            let now = names_with(&namespace.list("iot").await?, "Admitted", "True");
            ensure!(now.len() == quota, "{now:?}");
            Ok(now)
        })
        .await?;
        ensure!(
            admitted[1..].iter().all(|name| kept.contains(name)),
            "somebody was displaced: {admitted:?} {kept:?}"
        );
    }
    cluster.kubectl(&["delete", "tenant", &namespace.name]).await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_connectors_at_once_and_two_places() -> Result<()> {
    let _shared = OPERATOR.read().await;
    race(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_connectors_at_once_and_five_places() -> Result<()> {
    let _shared = OPERATOR.read().await;
    race(5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_quota_displaces_nobody() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let cluster = Cluster::connect()?;
    let namespace = cluster.namespace("lowered").await?;
    let name = namespace.name.clone();
    cluster.apply(&tenant(&name, &[&name], 3)).await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    for connector_name in ["one", "two", "three"] {
        let connector_name = format!("conn-{connector_name}");
        namespace.apply(&connector(&connector_name, "clinic", "")).await?;
        namespace
            .until(&format!("iot/{connector_name}"), "Admitted", "True", "Admitted")
            .await?;
    }
    cluster.apply(&tenant(&name, &[&name], 2)).await?;
    eventually("the tenant says that it is over its quota", || async {
        let found = cluster.get(&[&format!("tenant/{name}")]).await?.unwrap_or_default();
        ensure!(
            found["status"]["usage"]["iotConnectors"] == "3/2",
            "{}",
            found["status"]
        );
        ensure!(
            condition(&found, "OverQuota").is_some_and(|c| c["status"] == "True"),
            "{}",
            found["status"]
        );
        Ok(())
    })
    .await?;
    let refusal = namespace.refused(&connector("conn-four", "clinic", "")).await?;
    ensure!(refusal.contains("3 of 2"), "{refusal}");
    // the namespace leaves the tenant: its connectors keep their places
    cluster.apply(&tenant(&name, &["elsewhere"], 2)).await?;
    eventually("the tenant counts none", || async {
        let found = cluster.get(&[&format!("tenant/{name}")]).await?.unwrap_or_default();
        ensure!(
            found["status"]["usage"]["iotConnectors"] == "0/2",
            "{}",
            found["status"]
        );
        Ok(())
    })
    .await?;
    ensure!(settled(&namespace, 3).await?.len() == 3, "a move displaced somebody");
    cluster.kubectl(&["delete", "tenant", &name]).await?;
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_needs_an_r4_service() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("stu3").await?;
    namespace.apply(&service("archive", "STU3", "")).await?;
    namespace.until("fhir/archive", "Admitted", "True", "Admitted").await?;
    let refusal = namespace.refused(&connector("scales", "archive", "")).await?;
    ensure!(refusal.contains("STU3") && refusal.contains("Forbidden"), "{refusal}");
    // applied in any order: the service's absence is a warning and a condition that recovers
    let output = namespace.apply(&connector("vitals", "clinic", "")).await?;
    ensure!(output.contains("created"), "{output}");
    namespace
        .until("iot/vitals", "Ready", "False", "FhirServiceNotFound")
        .await?;
    namespace.apply(&service("clinic", "R4", "")).await?;
    namespace.until("iot/vitals", "Ready", "True", "Ingesting").await?;
    namespace.delete().await
}
