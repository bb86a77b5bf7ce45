//! Who reaches which port: devices from anywhere, with a key; the management port from the operator alone.

use iot_connector_settings::{MANAGEMENT_PORT, PORT};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule};

use crate::iot_connector::{Validated, World};
use crate::policies;

pub(super) fn build(validated: &Validated, world: &World) -> NetworkPolicy {
    let ingest = NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![policies::tcp(PORT)]),
    };
    policies::ingress(
        &validated.owner,
        vec![ingest, policies::management(MANAGEMENT_PORT, &world.installation)],
    )
}
