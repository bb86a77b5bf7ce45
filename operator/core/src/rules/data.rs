//! Data of an earlier object isn't served to a new one unasked, and never as another FHIR version.

use fhir_operator_api::{FhirService, Reason};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use super::Verdict;
use crate::Refusal;
use crate::names::{self, FHIR_VERSION_ANNOTATION, OWNER_UID, SERVICE_ANNOTATION};

/// A volume with the name of the service's is its own, or is adopted with `adoptExisting` and the same FHIR version.
pub fn data_is_ours(service: &FhirService, volume: Option<&PersistentVolumeClaim>) -> Verdict {
    let Some(volume) = volume else { return Ok(()) };
    if names::is_child_of(&volume.metadata, &service.uid().unwrap_or_default()) {
        return Ok(());
    }
    let name = volume.name_any();
    let version = service.spec.fhir_version.name();
    is_staying(volume)?;
    let refuse = |message: String| Err(Refusal::new(Reason::DataExists, message));
    if names::label(&volume.metadata, OWNER_UID).is_none() {
        return refuse(format!(
            "PersistentVolumeClaim `{name}` exists and isn't the operator's: rename the service, or remove the claim"
        ));
    }
    match names::annotation(&volume.metadata, FHIR_VERSION_ANNOTATION) {
        Some(held) if held != version => refuse(format!(
            "PersistentVolumeClaim `{name}` holds {held} data of an earlier FhirService: make the service {held} with \
             `spec.adoptExisting: true`, rename it, or remove the claim"
        )),
        _ if service.spec.adopt_existing == Some(true) => Ok(()),
        _ => refuse(format!(
            "PersistentVolumeClaim `{name}` holds {version} data of an earlier FhirService: set \
             `spec.adoptExisting: true` to take it over, rename the service, or remove the claim"
        )),
    }
}

/// A retained spool holds acknowledged messages: a new connector of the same name takes it over if it writes to the
/// same service, and leaves it alone otherwise.
pub fn spool_is_ours(uid: &str, service: &str, volume: Option<&PersistentVolumeClaim>) -> Verdict {
    let Some(volume) = volume else { return Ok(()) };
    if names::is_child_of(&volume.metadata, uid) {
        return Ok(());
    }
    let name = volume.name_any();
    is_staying(volume)?;
    let refuse = |message: String| Err(Refusal::new(Reason::DataExists, message));
    if names::label(&volume.metadata, OWNER_UID).is_none() {
        return refuse(format!(
            "PersistentVolumeClaim `{name}` exists and isn't the operator's: rename the connector, or remove the claim"
        ));
    }
    match names::annotation(&volume.metadata, SERVICE_ANNOTATION) {
        Some(held) if held != service => refuse(format!(
            "PersistentVolumeClaim `{name}` holds messages for FhirService `{held}`: rename the connector, or remove the claim"
        )),
        _ => Ok(()),
    }
}

/// A volume that is on its way out isn't taken over: whoever comes next gets a new one.
fn is_staying(volume: &PersistentVolumeClaim) -> Verdict {
    if volume.metadata.deletion_timestamp.is_none() {
        return Ok(());
    }
    let name = volume.name_any();
    Err(Refusal::new(
        Reason::VolumePending,
        format!(
            "PersistentVolumeClaim `{name}` of an earlier object is being deleted: a new one is made when it is gone"
        ),
    ))
}
