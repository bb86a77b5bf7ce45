//! Names, labels and annotations of what the operator makes. They are for ever: selectors can't be changed.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt as _};

/// Field manager of everything that the operator applies but places.
pub const FIELD_MANAGER: &str = "fhir-operator";
/// Field manager of the condition `Admitted`.
pub const PLACES_FIELD_MANAGER: &str = "fhir-operator-places";

/// The program that a pod runs; selects with [`INSTANCE`].
pub const NAME: &str = "app.kubernetes.io/name";
/// The custom resource's name; selects with [`NAME`].
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The part that a child plays.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The whole that a child belongs to.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Who manages a child; its value on all of ours is [`OPERATOR`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Uid of the custom resource that a child was made for.
pub const OWNER_UID: &str = "fhir-operator.dev/owner-uid";
/// Value of [`PART_OF`] and [`MANAGED_BY`].
pub const OPERATOR: &str = "fhir-operator";

/// On workloads: the release that is rendered.
pub const RELEASE_ANNOTATION: &str = "fhir-operator.dev/release";
/// On workloads: the revision of the rendering.
pub const REVISION_ANNOTATION: &str = "fhir-operator.dev/revision";
/// On pods: changes when settings that are read at start change.
pub const SETTINGS_ANNOTATION: &str = "fhir-operator.dev/settings";
/// On data: the FHIR version that it holds.
pub const FHIR_VERSION_ANNOTATION: &str = "fhir-operator.dev/fhir-version";
/// On data: the FhirService that it belongs to.
pub const SERVICE_ANNOTATION: &str = "fhir-operator.dev/service";
/// On data: the highest schema that was ever started on it.
pub const SCHEMA_ANNOTATION: &str = "fhir-operator.dev/schema";

/// What a child is made for: kind of program, custom resource, and the names derived from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// `fhir-server` or `iot-connector`.
    pub program: &'static str,
    /// `fhir` or `iot`, the middle of children's names.
    pub infix: &'static str,
    /// Name of the custom resource.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    reference: OwnerReference,
}

impl Owner {
    /// The owner that a FhirService is.
    pub fn service(service: &fhir_operator_api::FhirService) -> Self {
        Self::of(service, "fhir-server", "fhir")
    }

    /// The owner that an IoTConnector is.
    pub fn connector(connector: &fhir_operator_api::IoTConnector) -> Self {
        Self::of(connector, "iot-connector", "iot")
    }

    fn of<K: Resource<DynamicType = ()>>(object: &K, program: &'static str, infix: &'static str) -> Self {
        let name = object.name_any();
        let uid = object.uid().unwrap_or_default();
        Self {
            program,
            infix,
            namespace: object.namespace().unwrap_or_default(),
            reference: OwnerReference {
                api_version: K::api_version(&()).into_owned(),
                kind: K::kind(&()).into_owned(),
                name: name.clone(),
                uid: uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            },
            name,
            uid,
        }
    }

    /// `NAME-fhir` or `NAME-iot`.
    pub fn child(&self) -> String {
        format!("{}-{}", self.name, self.infix)
    }

    /// `NAME-fhir-PART` or `NAME-iot-PART`.
    pub fn child_part(&self, part: &str) -> String {
        format!("{}-{}-{part}", self.name, self.infix)
    }

    /// Labels that select the pods.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (NAME.to_owned(), self.program.to_owned()),
            (INSTANCE.to_owned(), self.name.clone()),
        ])
    }

    /// [`Owner::selector`] as Kubernetes wants it.
    pub fn label_selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector()),
            match_expressions: None,
        }
    }

    /// The selector as text, for the scale subresource.
    pub fn selector_text(&self) -> String {
        self.selector()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Labels of a child.
    pub fn labels(&self, component: &str) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.extend([
            (COMPONENT.to_owned(), component.to_owned()),
            (PART_OF.to_owned(), OPERATOR.to_owned()),
            (MANAGED_BY.to_owned(), OPERATOR.to_owned()),
            (OWNER_UID.to_owned(), self.uid.clone()),
        ]);
        labels
    }

    /// Metadata of a child that goes with its owner.
    pub fn metadata(&self, name: String, component: &str) -> ObjectMeta {
        ObjectMeta {
            owner_references: Some(vec![self.reference.clone()]),
            ..self.retained_metadata(name, component)
        }
    }

    /// Metadata of a child that stays when its owner goes.
    pub fn retained_metadata(&self, name: String, component: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels(component)),
            ..ObjectMeta::default()
        }
    }
}

/// The audience of ServiceAccount tokens for a FhirService: its connectors', and with `serviceAccounts` anybody's.
pub fn audience(namespace: &str, service: &str) -> String {
    format!("{namespace}/{service}")
}

/// Whether an object was made by an operator for the custom resource with this uid.
pub fn is_child_of(metadata: &ObjectMeta, uid: &str) -> bool {
    label(metadata, OWNER_UID) == Some(uid)
}

/// Whether an object was made by an operator at all.
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    label(metadata, MANAGED_BY) == Some(OPERATOR)
}

/// A label of an object.
pub fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// An annotation of an object.
pub fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}
