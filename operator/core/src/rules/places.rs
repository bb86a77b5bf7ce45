//! Who may have a place: quotas, and what a connector asks of its service.

use fhir_operator_api::{FhirService, FhirVersion, MAX_FHIR_SERVICES, MAX_IOT_CONNECTORS, Reason};
use kube::ResourceExt as _;

use super::Verdict;
use crate::Refusal;
use crate::tenant::{Holder, is_admitted};

/// A tenant has at most `quota` IoTConnectors, whatever the race.
///
/// Source: Azure API for FHIR, IoT Connector troubleshooting guide (text of the error); two connectors a subscription,
/// up to five on request.
pub fn quota_of_connectors(tenant: &Holder, used: u32, quota: u32) -> Verdict {
    if used < quota {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::QuotaExceeded,
        format!(
            "Reached the maximum number of IoT Connector instances that can be provisioned in this subscription: \
             {tenant} has {used} of {quota}. {}",
            what_to_do(tenant, quota, MAX_IOT_CONNECTORS, "iotConnectors")
        ),
    ))
}

/// A tenant has at most `quota` FhirServices, whatever the race.
///
/// Source: Azure API for FHIR, ten instances a subscription, more by ticket.
pub fn quota_of_services(tenant: &Holder, used: u32, quota: u32) -> Verdict {
    if used < quota {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::QuotaExceeded,
        format!(
            "Reached the maximum number of FHIR service instances that can be provisioned in this subscription: \
             {tenant} has {used} of {quota}. {}",
            what_to_do(tenant, quota, MAX_FHIR_SERVICES, "fhirServices")
        ),
    ))
}

fn what_to_do(tenant: &Holder, quota: u32, most: u32, field: &str) -> String {
    match tenant {
        _ if quota >= most => "Delete one.".to_owned(),
        Holder::Tenant(name) => {
            format!("Delete one, or raise `spec.quota.{field}` of Tenant `{name}` (up to {most}).")
        }
        Holder::Namespace(name) | Holder::Nobody(name) => format!(
            "Delete one, or put namespace `{name}` into a Tenant and raise its `spec.quota.{field}` (up to {most})."
        ),
    }
}

/// Objects live in namespaces that somebody answers for.
///
/// Source: chart value `unassignedNamespaces: refuse`.
pub fn namespace_has_tenant(tenant: &Holder) -> Verdict {
    match tenant {
        Holder::Tenant(_) | Holder::Namespace(_) => Ok(()),
        Holder::Nobody(namespace) => Err(Refusal::new(
            Reason::NoTenant,
            format!("namespace `{namespace}` belongs to no Tenant: add it to `spec.namespaces` of one"),
        )),
    }
}

/// A connector's service exists, isn't being deleted, and has a place itself.
///
/// Source: Azure API for FHIR, "Account doesn't exist."
pub fn connector_needs_service<'a>(name: &str, service: Option<&'a FhirService>) -> Verdict<&'a FhirService> {
    let Some(service) = service else {
        return Err(Refusal::new(
            Reason::FhirServiceNotFound,
            format!(
                "FhirService `{name}` doesn't exist in this namespace: create it, and the connector goes on by itself"
            ),
        ));
    };
    if service.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::new(
            Reason::FhirServiceNotFound,
            format!("FhirService `{name}` is being deleted: create it again, and the connector goes on by itself"),
        ));
    }
    if !is_admitted(service) {
        return Err(Refusal::new(
            Reason::FhirServiceNotAdmitted,
            format!(
                "FhirService `{name}` isn't admitted: see its conditions; the connector goes on by itself when it is"
            ),
        ));
    }
    Ok(service)
}

/// Connectors write to R4 services only.
///
/// Source: Azure API for FHIR, "Azure API for FHIR resource FHIR version isn't supported for IoT Connector."
pub fn connector_needs_r4(service: &FhirService) -> Verdict {
    match service.spec.fhir_version {
        FhirVersion::R4 => Ok(()),
        version @ FhirVersion::Stu3 => Err(Refusal::new(
            Reason::FhirVersionNotSupported,
            format!(
                "FHIR version {} isn't supported for IoT Connector: FhirService `{}` serves {}; \
                 make an IoTConnector for an R4 service",
                version.name(),
                service.name_any(),
                version.name()
            ),
        )),
    }
}
