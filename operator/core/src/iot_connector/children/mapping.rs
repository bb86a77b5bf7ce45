//! `NAME-iot-mapping`: the last valid pair, mounted by the pod. A bad mapping never changes it.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::iot_connector::Validated;
use crate::iot_connector::mappings::{DEVICE_FILE, FHIR_FILE};

pub(super) fn build(validated: &Validated) -> Option<ConfigMap> {
    let owner = &validated.owner;
    let pair = validated.mappings.in_force.as_ref()?;
    Some(ConfigMap {
        metadata: owner.metadata(owner.child_part("mapping"), "configuration"),
        data: Some(
            [
                (DEVICE_FILE.to_owned(), pair.device.clone()),
                (FHIR_FILE.to_owned(), pair.fhir.clone()),
            ]
            .into(),
        ),
        ..ConfigMap::default()
    })
}
