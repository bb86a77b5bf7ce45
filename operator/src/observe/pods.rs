//! The pods of one object, and which of them answers.

use std::net::IpAddr;
use std::sync::Arc;

use fhir_operator_core::names::Owner;
use k8s_openapi::api::core::v1::Pod;

/// Those that carry the owner's selector.
pub fn children_of(pods: &[Arc<Pod>], owner: &Owner) -> Vec<Arc<Pod>> {
    let selector = owner.selector();
    let selected = |pod: &&Arc<Pod>| {
        let labels = pod.metadata.labels.as_ref();
        selector
            .iter()
            .all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
    };
    pods.iter().filter(selected).cloned().collect()
}

/// Uid and address of the first pod that is ready and stays.
pub fn ready_pod(pods: &[Arc<Pod>]) -> Option<(String, IpAddr)> {
    ready_pods(pods).next()
}

/// Uid and address of each pod that is ready and stays.
pub fn ready_pods(pods: &[Arc<Pod>]) -> impl Iterator<Item = (String, IpAddr)> {
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| {
            let status = pod.status.as_ref()?;
            let ready = status
                .conditions
                .iter()
                .flatten()
                .any(|c| c.type_ == "Ready" && c.status == "True");
            let ip = status.pod_ip.as_ref()?.parse().ok()?;
            ready.then(|| (pod.metadata.uid.clone().unwrap_or_default(), ip))
        })
}
