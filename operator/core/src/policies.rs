//! NetworkPolicies: what those of services and connectors have in common. Ingress only.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::Installation;
use crate::names::{self, Owner};

/// Label that Kubernetes puts on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy of an owner's pods.
pub fn ingress(owner: &Owner, rules: Vec<NetworkPolicyIngressRule>) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owner.metadata(owner.child(), "network"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(owner.label_selector()),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            egress: None,
        }),
    }
}

/// The management port is for the operator's own pods.
pub fn management(port: u16, installation: &Installation) -> NetworkPolicyIngressRule {
    let equals = |key: &str, value: &str| LabelSelector {
        match_labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
        match_expressions: None,
    };
    NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(equals(NAMESPACE_NAME, &installation.operator_namespace)),
            pod_selector: Some(equals(names::NAME, &installation.operator_name)),
            ip_block: None,
        }]),
        ports: Some(vec![tcp(port)]),
    }
}

/// A TCP port.
pub fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    }
}
