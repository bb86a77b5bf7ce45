//! Tenants: who holds a namespace, and who gets a place.

mod places;
mod status;

use std::borrow::Borrow;
use std::fmt;

use fhir_operator_api::{
    ConditionType, DEFAULT_FHIR_SERVICES, DEFAULT_IOT_CONNECTORS, FhirService, IoTConnector, Tenant,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

pub use places::{Place, Placed, Places, places};
pub use status::status;

use crate::conditions;
use crate::installation::{Installation, NamespaceQuota, UnassignedNamespaces};

/// Who answers for a namespace.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Holder {
    /// The Tenant with this name.
    Tenant(String),
    /// The namespace is a tenant of its own.
    Namespace(String),
    /// Nobody, and the installation refuses such namespaces.
    Nobody(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) => write!(formatter, "tenant `{name}`"),
            Self::Namespace(name) => write!(formatter, "namespace `{name}`, a tenant of its own,"),
            Self::Nobody(name) => write!(formatter, "namespace `{name}`, which belongs to no Tenant,"),
        }
    }
}

impl Holder {
    /// The Tenant's name.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(name) => Some(name),
            Self::Namespace(_) | Self::Nobody(_) => None,
        }
    }
}

/// Who answers for a namespace: the oldest Tenant that lists it.
pub fn holder<T: Borrow<Tenant>>(namespace: &str, tenants: &[T], installation: &Installation) -> Holder {
    let oldest = tenants
        .iter()
        .map(Borrow::borrow)
        .filter(|tenant: &&Tenant| tenant.spec.namespaces.iter().any(|listed| listed == namespace))
        .min_by_key(|tenant| age(&tenant.metadata));
    match (oldest, installation.unassigned_namespaces) {
        (Some(tenant), _) => Holder::Tenant(tenant.name_any()),
        (None, UnassignedNamespaces::Tenant) => Holder::Namespace(namespace.to_owned()),
        (None, UnassignedNamespaces::Refuse) => Holder::Nobody(namespace.to_owned()),
    }
}

/// The namespaces that a holder answers for: those that a Tenant lists and no older one does, or the namespace itself.
pub fn namespaces<T: Borrow<Tenant>>(holder: &Holder, tenants: &[T], installation: &Installation) -> Vec<String> {
    match holder {
        Holder::Namespace(name) | Holder::Nobody(name) => vec![name.clone()],
        Holder::Tenant(name) => {
            let listed = tenants
                .iter()
                .map(Borrow::borrow)
                .find(|tenant: &&Tenant| tenant.name_any() == *name);
            let listed = listed
                .map(|tenant| tenant.spec.namespaces.as_slice())
                .unwrap_or_default();
            listed
                .iter()
                .filter(|namespace| self::holder(namespace, tenants, installation) == *holder)
                .cloned()
                .collect()
        }
    }
}

/// How many of each kind a holder may have.
pub fn quota<T: Borrow<Tenant>>(holder: &Holder, tenants: &[T], installation: &Installation) -> NamespaceQuota {
    match holder {
        Holder::Namespace(_) | Holder::Nobody(_) => installation.namespace_quota.bounded(),
        Holder::Tenant(name) => {
            let tenant = tenants
                .iter()
                .map(Borrow::borrow)
                .find(|tenant: &&Tenant| tenant.name_any() == *name);
            let quota = tenant.and_then(|tenant| tenant.spec.quota).unwrap_or_default();
            NamespaceQuota {
                fhir_services: quota.fhir_services.unwrap_or(DEFAULT_FHIR_SERVICES),
                iot_connectors: quota.iot_connectors.unwrap_or(DEFAULT_IOT_CONNECTORS),
            }
            .bounded()
        }
    }
}

/// An object with a place, kept until the object is deleted.
pub trait Admissible {
    /// The conditions of its status.
    fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition];
}

impl Admissible for FhirService {
    fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
        self.status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default()
    }
}

impl Admissible for IoTConnector {
    fn conditions(&self) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
        self.status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default()
    }
}

/// Whether the object has a place.
pub fn is_admitted(object: &impl Admissible) -> bool {
    conditions::is_true(object.conditions(), ConditionType::Admitted)
}

/// Oldest first: the time of creation, then the uid. What isn't created yet is younger than all else.
fn age(metadata: &ObjectMeta) -> (Timestamp, String) {
    let created = metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |time| time.0);
    (created, metadata.uid.clone().unwrap_or_default())
}
