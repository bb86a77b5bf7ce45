//! Who reaches which port: the FHIR port as `networking` says, the management port from the operator alone.

use fhir_operator_api::PublicNetworkAccess;
use fhir_server_settings::{MANAGEMENT_PORT, PORT};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::fhir_service::{PrivateLink, Validated, World};
use crate::policies;

pub(super) fn build(validated: &Validated, world: &World) -> NetworkPolicy {
    let from = match (&validated.private_link, validated.public_network_access) {
        (PrivateLink::On(namespaces), _) => Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(namespaces.clone()),
            ..NetworkPolicyPeer::default()
        }]),
        (PrivateLink::Off | PrivateLink::Refused(_), PublicNetworkAccess::Disabled) => Some(vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector {
                ..LabelSelector::default()
            }),
            ..NetworkPolicyPeer::default()
        }]),
        (PrivateLink::Off | PrivateLink::Refused(_), PublicNetworkAccess::Enabled) => None,
    };
    let api = NetworkPolicyIngressRule {
        from,
        ports: Some(vec![policies::tcp(PORT)]),
    };
    policies::ingress(
        &validated.owner,
        vec![api, policies::management(MANAGEMENT_PORT, &world.installation)],
    )
}
