//! The volume of a SQLite service or an embedded spool: what is asked for, and whether it is there.

use std::collections::BTreeMap;

use fhir_operator_api::{ConditionType, DeletionPolicy, Reason, StorageSize, Volume};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;

use crate::conditions::Finding;
use crate::names::{Owner, SCHEMA_ANNOTATION, annotation};

/// The volume that an object asks for, defaults resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VolumeRequest {
    /// Size; `None` if the user named none and a volume exists: then its own.
    pub storage: StorageSize,
    /// Whether the user named the size.
    pub explicit: bool,
    /// StorageClass; absent: the cluster's default.
    pub storage_class_name: Option<String>,
    /// What happens to it when the owner goes.
    pub deletion_policy: DeletionPolicy,
}

impl VolumeRequest {
    /// Resolves what the user says against the default.
    pub fn new(volume: Option<&Volume>, default: &str, deletion_policy: Option<DeletionPolicy>) -> Self {
        let explicit = volume.and_then(|volume| volume.storage.clone());
        Self {
            explicit: explicit.is_some(),
            storage: explicit.unwrap_or_else(|| StorageSize(default.to_owned())),
            storage_class_name: volume.and_then(|volume| volume.storage_class_name.clone()),
            deletion_policy: deletion_policy.unwrap_or_default(),
        }
    }

    /// The claim to apply. A volume that exists keeps its class, and never shrinks.
    pub fn claim(
        &self,
        owner: &Owner,
        existing: Option<&PersistentVolumeClaim>,
        annotations: BTreeMap<String, String>,
    ) -> PersistentVolumeClaim {
        let name = owner.child_part("data");
        let mut metadata = match self.deletion_policy {
            DeletionPolicy::Retain => owner.retained_metadata(name, "data"),
            DeletionPolicy::Delete => owner.metadata(name, "data"),
        };
        metadata.annotations = Some(annotations);
        let storage = match existing.and_then(requested) {
            Some(held) if bytes(&held) > self.storage.bytes() => held,
            _ => Quantity(self.storage.0.clone()),
        };
        let class = match existing.and_then(|claim| claim.spec.as_ref()) {
            Some(spec) => spec.storage_class_name.clone(),
            None => self.storage_class_name.clone(),
        };
        PersistentVolumeClaim {
            metadata,
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: class,
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([("storage".to_owned(), storage)])),
                    limits: None,
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        }
    }

    /// `DatabaseReady` or `SourceReady`, from the claim and what the API said when it was applied.
    ///
    /// A claim that waits for its first pod isn't a failure of the volume: the pod's own condition tells why.
    pub fn finding(
        &self,
        condition: ConditionType,
        claim: Option<&PersistentVolumeClaim>,
        refused: Option<&str>,
    ) -> Finding {
        let Some(claim) = claim else {
            return Finding::fails(condition, Reason::VolumePending, "the volume is being made");
        };
        let name = claim.name_any();
        if let Some(refused) = refused {
            return Finding::fails(
                condition,
                Reason::ResizeRefused,
                format!(
                    "PersistentVolumeClaim `{name}` can't have {}: {refused}",
                    self.storage.0
                ),
            );
        }
        if let (true, Some(held)) = (self.explicit, requested(claim))
            && bytes(&held) > self.storage.bytes()
        {
            return Finding::fails(
                condition,
                Reason::ResizeRefused,
                format!(
                    "PersistentVolumeClaim `{name}` has {} and volumes don't shrink: ask for {} or more",
                    held.0, held.0
                ),
            );
        }
        match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Bound") => {
                let size = capacity(claim).map_or_else(|| self.storage.0.clone(), |size| size.0);
                Finding::holds(condition, Reason::Bound, format!("volume of {size}"))
            }
            Some("Lost") => Finding::fails(
                condition,
                Reason::VolumePending,
                format!("the volume of PersistentVolumeClaim `{name}` is lost: restore the PersistentVolume"),
            ),
            _ => Finding::fails(
                condition,
                Reason::VolumePending,
                format!("PersistentVolumeClaim `{name}` isn't bound yet: `kubectl describe pvc {name}` says why"),
            ),
        }
    }
}

/// The highest schema that was ever started on the data.
pub fn data_schema(claim: Option<&PersistentVolumeClaim>) -> Option<u32> {
    annotation(&claim?.metadata, SCHEMA_ANNOTATION)?.parse().ok()
}

fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    claim
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?
        .get("storage")
        .cloned()
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage").cloned()
}

/// Kubernetes writes sizes in the form that they came in, which is ours.
fn bytes(quantity: &Quantity) -> Option<u128> {
    StorageSize(quantity.0.clone()).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(storage: &str, phase: &str) -> PersistentVolumeClaim {
        serde_yaml::from_str(&format!(
            "metadata: {{name: clinic-fhir-data}}\nspec: {{storageClassName: fast, resources: {{requests: {{storage: {storage}}}}}}}\nstatus: {{phase: {phase}, capacity: {{storage: {storage}}}}}"
        ))
        .unwrap()
    }

    fn owner() -> Owner {
        let service = serde_yaml::from_str(
            "metadata: {name: clinic, namespace: ward, uid: u1}\nspec: {fhirVersion: R4, authentication: {serviceAccounts: true}}",
        );
        Owner::service(&service.unwrap())
    }

    fn request(storage: Option<&str>) -> VolumeRequest {
        let volume = Volume {
            storage: storage.map(|text| StorageSize(text.to_owned())),
            storage_class_name: None,
        };
        VolumeRequest::new(Some(&volume), "10Gi", None)
    }

    #[test]
    fn an_existing_volume_keeps_its_class_and_never_shrinks() {
        let built = request(Some("5Gi")).claim(&owner(), Some(&claim("20Gi", "Bound")), BTreeMap::new());
        assert_eq!(requested(&built).unwrap().0, "20Gi");
        assert_eq!(built.spec.unwrap().storage_class_name.as_deref(), Some("fast"));
        assert_eq!(built.metadata.owner_references, None);

        let grown = request(Some("30Gi")).claim(&owner(), Some(&claim("20Gi", "Bound")), BTreeMap::new());
        assert_eq!(requested(&grown).unwrap().0, "30Gi");
    }

    #[test]
    fn findings_tell_what_the_claim_is_in() {
        let reason = |request: &VolumeRequest, claim: Option<&PersistentVolumeClaim>, refused| {
            request.finding(ConditionType::DatabaseReady, claim, refused).reason
        };
        let asked = request(Some("10Gi"));
        assert_eq!(reason(&asked, None, None), Reason::VolumePending);
        assert_eq!(
            reason(&asked, Some(&claim("10Gi", "Pending")), None),
            Reason::VolumePending
        );
        assert_eq!(reason(&asked, Some(&claim("10Gi", "Bound")), None), Reason::Bound);
        assert_eq!(
            reason(&asked, Some(&claim("20Gi", "Bound")), None),
            Reason::ResizeRefused
        );
        assert_eq!(
            reason(&asked, Some(&claim("10Gi", "Bound")), Some("class doesn't expand")),
            Reason::ResizeRefused
        );
        assert_eq!(
            reason(&request(None), Some(&claim("20Gi", "Bound")), None),
            Reason::Bound
        );
    }
}
