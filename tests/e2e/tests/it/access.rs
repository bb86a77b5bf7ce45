//! The role that the chart ships for tenants doesn't lead to the data.

use anyhow::{Result, ensure};
use e2e::{Cluster, connector, service};

use crate::OPERATOR;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_role_does_not_reach_the_data() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("role").await?;
    namespace.kubectl(&["create", "serviceaccount", "owner"]).await?;
    let subject = format!("--serviceaccount={}:owner", namespace.name);
    namespace
        .kubectl(&[
            "create",
            "rolebinding",
            "owner",
            "--clusterrole=fhir-operator-tenant",
            &subject,
        ])
        .await?;
    let user = format!("--as=system:serviceaccount:{}:owner", namespace.name);
    let can = |verb: &'static str, what: &'static str| {
        let (namespace, user) = (namespace.clone(), user.clone());
        // `pods/exec` would be the pod of that name.
        let (resource, part) = what.split_once('/').unwrap_or((what, ""));
        let subresource = format!("--subresource={part}");
        async move {
            namespace
                .kubectl(&["auth", "can-i", verb, resource, &subresource, &user])
                .await
                .is_ok()
        }
    };
    for (verb, what) in [
        ("create", "fhirservices.fhir-operator.dev"),
        ("delete", "iotconnectors.fhir-operator.dev"),
        ("update", "configmaps"),
    ] {
        ensure!(can(verb, what).await, "{verb} {what} is theirs");
    }
    for (verb, what) in [
        ("create", "pods"),
        ("create", "pods/exec"),
        ("create", "pods/portforward"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "persistentvolumeclaims"),
        ("create", "persistentvolumeclaims"),
        ("update", "networkpolicies.networking.k8s.io"),
        ("create", "serviceaccounts/token"),
        ("update", "statefulsets.apps"),
        ("update", "tenants.fhir-operator.dev"),
        ("update", "fhirservices.fhir-operator.dev/status"),
    ] {
        ensure!(!can(verb, what).await, "{verb} {what} would lead to the data");
    }
    // the operator itself can create Secrets, and read none
    let operator = "--as=system:serviceaccount:fhir-operator:fhir-operator";
    let may = async |verb: &str| {
        namespace
            .kubectl(&["auth", "can-i", verb, "secrets", operator])
            .await
            .is_ok()
    };
    ensure!(may("create").await && !may("get").await && !may("list").await && !may("patch").await);
    namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_object_decides_is_refused_by_the_schema() -> Result<()> {
    let _shared = OPERATOR.read().await;
    let namespace = Cluster::connect()?.namespace("schema").await?;
    let base = service("clinic", "R4", "");
    for (manifest, says) in [
        (base.replace("R4", "R5"), "Unsupported value"),
        (base.replace("name: clinic", "name: 9clinic"), "metadata.name"),
        (base.replace("{serviceAccounts: true}", "{}"), "authentication"),
        (
            base.replace("{serviceAccounts: true}", "{anonymous: true, serviceAccounts: true}"),
            "anonymous",
        ),
        (format!("{base}  replicas: 2\n"), "PostgreSQL"),
        (base.replace("Contributor", "Root"), "Unsupported value"),
        (
            connector("vitals", "clinic", "  capacity: {messagesPerSecond: 20000}\n"),
            "10000",
        ),
    ] {
        let refusal = namespace.refused(&manifest).await?;
        ensure!(refusal.contains(says), "`{says}` isn't in: {refusal}");
    }
    namespace.apply(&base).await?;
    let refusal = namespace.refused(&base.replace("R4", "STU3")).await?;
    ensure!(refusal.contains("immutable"), "{refusal}");
    namespace.delete().await
}
