//! `NAME-iot-data`: the spool. Annotated with the service that its messages are for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::iot_connector::{Validated, World};
use crate::names::SERVICE_ANNOTATION;

pub(super) fn build(validated: &Validated, world: &World) -> PersistentVolumeClaim {
    let annotations = BTreeMap::from([(SERVICE_ANNOTATION.to_owned(), validated.service.name.clone())]);
    validated
        .volume
        .claim(&validated.owner, world.volume_claim.as_deref(), annotations)
}
