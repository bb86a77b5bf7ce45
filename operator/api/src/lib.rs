//! The custom resources: [`Tenant`], [`FhirService`], [`IoTConnector`], and nothing else.
//!
//! What one object can decide is in the schema and its CEL rules; what needs other objects is in `fhir-operator-core`.
//! Defaults that may ever change are not in the schema: absence is resolved when the object is validated.

// The derive macros name `::kube`; this crate sees it without the client.
extern crate kube_types as kube;

mod conditions;
mod crds;
mod fhir_service;
mod iot_connector;
mod shared;
mod tenant;

pub use conditions::{ConditionType, Reason, reference as conditions_reference};
pub use crds::{custom_resource_definitions, yaml_files};
pub use fhir_service::*;
pub use iot_connector::*;
pub use shared::*;
pub use tenant::*;

/// API group of the custom resources.
pub const GROUP: &str = "fhir-operator.dev";
/// Their only version, the stored one.
pub const VERSION: &str = "v1alpha1";

/// Annotation: `"true"` stops the operator from changing anything of the object.
pub const PAUSED_ANNOTATION: &str = "fhir-operator.dev/paused";
/// Annotation on a namespace: the name of the operator that serves it, where several are installed.
pub const OPERATOR_ANNOTATION: &str = "fhir-operator.dev/operator";
/// Annotation on each CustomResourceDefinition: the release that it belongs to.
pub const RELEASE_ANNOTATION: &str = "fhir-operator.dev/release";
/// Label that a ConfigMap with mapping templates carries, value `"true"`; others aren't watched.
pub const MAPPING_LABEL: &str = "fhir-operator.dev/mapping";
