//! What a Tenant's status says: use, who waits, and what is wrong with its namespaces.

use std::borrow::Borrow;

use fhir_operator_api::{ConditionType, MAX_REFUSED_NAMES, Reason, Refused, Tenant, TenantStatus, Usage};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::places::{Placed, Places, count};
use super::{Holder, holder};
use crate::Installation;
use crate::conditions::Finding;

/// The status of a Tenant whose places are known.
pub fn status<T: Borrow<Tenant>>(
    tenant: &Tenant,
    places: &Places,
    tenants: &[T],
    installation: &Installation,
    now: Timestamp,
) -> TenantStatus {
    let services = used(&places.services);
    let connectors = used(&places.connectors);
    let old = tenant
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let conditions = [
        conflict(tenant, tenants, installation),
        over_quota(places, services, connectors),
    ]
    .into_iter()
    .flatten()
    .map(|finding| finding.condition(old, tenant.metadata.generation, now))
    .collect();
    TenantStatus {
        observed_generation: tenant.metadata.generation,
        usage: Some(Usage {
            fhir_services: format!("{services}/{}", places.quota.fhir_services),
            iot_connectors: format!("{connectors}/{}", places.quota.iot_connectors),
        }),
        refused: refused(places),
        conditions,
    }
}

fn used(placed: &[Placed]) -> u32 {
    count(placed.iter().filter(|one| one.is_placed()).count())
}

fn refused(places: &Places) -> Option<Refused> {
    let waiting = |kind: &'static str, placed: &[Placed]| -> Vec<String> {
        let mut names: Vec<String> = placed
            .iter()
            .filter(|one| one.waits_for_quota())
            .map(|one| format!("{kind} {}/{}", one.namespace, one.name))
            .collect();
        names.sort();
        names
    };
    let mut names = waiting("FhirService", &places.services);
    names.extend(waiting("IoTConnector", &places.connectors));
    let count = count(names.len());
    names.truncate(MAX_REFUSED_NAMES);
    (count > 0).then_some(Refused { count, names })
}

fn conflict<T: Borrow<Tenant>>(tenant: &Tenant, tenants: &[T], installation: &Installation) -> Option<Finding> {
    let own = Holder::Tenant(tenant.name_any());
    let mut lost: Vec<String> = tenant
        .spec
        .namespaces
        .iter()
        .filter_map(|namespace| match holder(namespace, tenants, installation) {
            Holder::Tenant(other) if Holder::Tenant(other.clone()) != own => {
                Some(format!("`{namespace}` by `{other}`"))
            }
            _ => None,
        })
        .collect();
    let more = lost.len().saturating_sub(MAX_REFUSED_NAMES);
    lost.truncate(MAX_REFUSED_NAMES);
    (!lost.is_empty()).then(|| {
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Finding::holds(
            ConditionType::NamespaceConflict,
            Reason::NamespaceConflict,
            format!(
                "older Tenants hold these namespaces: {}{more}; remove them from `spec.namespaces` here or there",
                lost.join(", ")
            ),
        )
    })
}

fn over_quota(places: &Places, services: u32, connectors: u32) -> Option<Finding> {
    let over: Vec<String> = [
        ("FhirServices", services, places.quota.fhir_services),
        ("IoTConnectors", connectors, places.quota.iot_connectors),
    ]
    .into_iter()
    .filter(|(_, used, quota)| used > quota)
    .map(|(kind, used, quota)| format!("{used} {kind} of {quota}"))
    .collect();
    (!over.is_empty()).then(|| {
        Finding::holds(
            ConditionType::OverQuota,
            Reason::OverQuota,
            format!(
                "{} in use: all go on, new ones wait until as many are deleted or the quota is raised",
                over.join(" and ")
            ),
        )
    })
}
