//! Who gets a place: exactly the quota, oldest first, and nobody who has one is displaced.
//!
//! Eligibility comes first; only eligible objects compete. The caller lists the tenant's objects live, asks once, and
//! writes each new condition with the resourceVersion that was listed, so that two rounds can't give the same place.

use std::borrow::Borrow;

use fhir_operator_api::{ConditionType, FhirService, IoTConnector, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};

use super::{Admissible, Holder, age, is_admitted};
use crate::conditions::Finding;
use crate::installation::NamespaceQuota;
use crate::rules::{self, Verdict};
use crate::{Refusal, conditions};

/// The places of one tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Places {
    /// Whose places they are.
    pub holder: Holder,
    /// How many there are.
    pub quota: NamespaceQuota,
    /// A verdict for each FhirService, in the order given.
    pub services: Vec<Placed>,
    /// A verdict for each IoTConnector, in the order given.
    pub connectors: Vec<Placed>,
}

/// The verdict for one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The version that was judged: write the condition with this one only.
    pub resource_version: Option<String>,
    /// The verdict.
    pub place: Place,
    generation: Option<i64>,
}

/// A verdict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// It has a place already.
    Kept,
    /// It gets a place now.
    Given,
    /// It gets none now; it is judged again when anything of the tenant changes.
    Refused(Refusal),
    /// It is being deleted without ever having had a place.
    Leaving,
}

impl Placed {
    /// The condition `Admitted` to write; `None` for an object that leaves.
    pub fn condition(&self, old: &[Condition], now: Timestamp) -> Option<Condition> {
        let finding = match &self.place {
            Place::Leaving => return None,
            Place::Kept => {
                let told = conditions::find(old, ConditionType::Admitted).map(|one| one.message.clone());
                Finding::holds(ConditionType::Admitted, Reason::Admitted, told.unwrap_or_default())
            }
            Place::Given => Finding::holds(
                ConditionType::Admitted,
                Reason::Admitted,
                "has a place in its tenant until it is deleted",
            ),
            Place::Refused(refusal) => Finding::refused(ConditionType::Admitted, refusal),
        };
        Some(finding.condition(old, self.generation, now))
    }

    /// Whether it has a place when the verdict is written.
    pub fn is_placed(&self) -> bool {
        matches!(self.place, Place::Kept | Place::Given)
    }

    /// Whether it waits for want of quota.
    pub fn waits_for_quota(&self) -> bool {
        matches!(&self.place, Place::Refused(refusal) if refusal.reason == Reason::QuotaExceeded)
    }
}

/// Judges all objects of one tenant: every FhirService and IoTConnector in its namespaces.
///
/// A connector is eligible only when its service's place is already written, so that a lost write can't leave a
/// connector admitted on a service that isn't.
pub fn places<S, C>(holder: &Holder, quota: NamespaceQuota, services: &[S], connectors: &[C]) -> Places
where
    S: Borrow<FhirService>,
    C: Borrow<IoTConnector>,
{
    let services: Vec<&FhirService> = services.iter().map(Borrow::borrow).collect();
    let connectors: Vec<&IoTConnector> = connectors.iter().map(Borrow::borrow).collect();
    Places {
        holder: holder.clone(),
        quota,
        services: share(
            &services,
            |service| service_is_eligible(holder, service),
            |used| rules::quota_of_services(holder, used, quota.fhir_services),
        ),
        connectors: share(
            &connectors,
            |connector| connector_is_eligible(holder, connector, &services),
            |used| rules::quota_of_connectors(holder, used, quota.iot_connectors),
        ),
    }
}

fn service_is_eligible(holder: &Holder, service: &FhirService) -> Verdict {
    rules::namespace_has_tenant(holder)?;
    rules::service_is_supported(service)
}

fn connector_is_eligible(holder: &Holder, connector: &IoTConnector, services: &[&FhirService]) -> Verdict {
    rules::namespace_has_tenant(holder)?;
    rules::connector_is_supported(connector)?;
    let wanted = &connector.spec.fhir_service;
    let named = services.iter().find(|service| {
        service.metadata.name.as_ref() == Some(wanted) && service.metadata.namespace == connector.metadata.namespace
    });
    let service = rules::connector_needs_service(wanted, named.copied())?;
    rules::connector_needs_r4(service)?;
    rules::private_link_keeps_connectors_out(service)
}

/// Gives free places to eligible objects, oldest first.
fn share<K: Admissible + kube::Resource<DynamicType = ()>>(
    objects: &[&K],
    eligible: impl Fn(&K) -> Verdict,
    within_quota: impl Fn(u32) -> Verdict,
) -> Vec<Placed> {
    let mut placed: Vec<Placed> = objects
        .iter()
        .map(|object| {
            let place = if is_admitted(*object) {
                Place::Kept
            } else if object.meta().deletion_timestamp.is_some() {
                Place::Leaving
            } else {
                eligible(object).map_or_else(Place::Refused, |()| Place::Given)
            };
            verdict(object.meta(), place)
        })
        .collect();

    let mut competing: Vec<usize> = (0..objects.len())
        .filter(|at| placed[*at].place == Place::Given)
        .collect();
    competing.sort_by_key(|at| age(objects[*at].meta()));
    let mut used = count(placed.iter().filter(|one| one.place == Place::Kept).count());
    for at in competing {
        match within_quota(used) {
            Ok(()) => used += 1,
            Err(refusal) => placed[at].place = Place::Refused(refusal),
        }
    }
    placed
}

fn verdict(metadata: &ObjectMeta, place: Place) -> Placed {
    Placed {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone(),
        generation: metadata.generation,
        place,
    }
}

/// Objects are counted in `u32`, as quotas are; etcd holds fewer.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
