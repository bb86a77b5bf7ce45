//! `NAME-fhir-data`: the SQLite database. Annotated with what it holds, so that it can be adopted or refused later.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::fhir_service::{Validated, World};
use crate::names::{FHIR_VERSION_ANNOTATION, SCHEMA_ANNOTATION, SERVICE_ANNOTATION};

pub(super) fn build(validated: &Validated, world: &World) -> PersistentVolumeClaim {
    let owner = &validated.owner;
    let mut annotations = BTreeMap::from([
        (
            FHIR_VERSION_ANNOTATION.to_owned(),
            validated.fhir_version.name().to_owned(),
        ),
        (SERVICE_ANNOTATION.to_owned(), owner.name.clone()),
    ]);
    if let Some(schema) = validated.schema {
        annotations.insert(SCHEMA_ANNOTATION.to_owned(), schema.to_string());
    }
    validated
        .volume
        .claim(owner, world.volume_claim.as_deref(), annotations)
}
