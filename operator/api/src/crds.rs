//! The CustomResourceDefinitions, as they are applied and as the files in `crds/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{FhirService, IoTConnector, RELEASE_ANNOTATION, Tenant};

/// Bounds where a type gives none of its own, so that the cost of every CEL rule is bounded.
const MAX_ITEMS: i64 = 64;
const MAX_PROPERTIES: i64 = 64;
const MAX_LENGTH: i64 = 4096;
const MAX_FOREIGN_LENGTH: i64 = 512;
/// The bound that Kubernetes itself gives to a condition's message.
const MAX_MESSAGE: i64 = 32_768;

/// Documentation of foreign types deeper than this is left out: it would be most of the file.
const DESCRIBED_DEPTH: usize = 6;

/// The three definitions: Tenant, FhirService, IoTConnector.
pub fn custom_resource_definitions() -> [CustomResourceDefinition; 3] {
    [Tenant::crd(), FhirService::crd(), IoTConnector::crd()].map(|mut definition| {
        definition.metadata.annotations.get_or_insert_default().extend([
            (RELEASE_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            // The definitions hold everybody's objects: no uninstallation takes them away.
            ("helm.sh/resource-policy".to_owned(), "keep".to_owned()),
        ]);
        for version in &mut definition.spec.versions {
            if let Some(schema) = version
                .schema
                .as_mut()
                .and_then(|schema| schema.open_api_v3_schema.as_mut())
            {
                finish(schema, 0, false);
            }
        }
        definition
    })
}

/// The definitions as files: name and YAML text, as `fhir-operator crds` writes and prints them.
pub fn yaml_files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    custom_resource_definitions()
        .iter()
        .map(|definition| {
            let name = definition.metadata.name.clone().unwrap_or_default();
            Ok((format!("{name}.yaml"), serde_yaml::to_string(definition)?))
        })
        .collect()
}

/// Gives every list, string and map a bound, and leaves out the long documentation of embedded Kubernetes types.
fn finish(schema: &mut JSONSchemaProps, depth: usize, foreign: bool) {
    let preserved = schema.x_kubernetes_preserve_unknown_fields == Some(true);
    match schema.type_.as_deref() {
        Some("array") => schema.max_items = schema.max_items.or(Some(MAX_ITEMS)),
        Some("string") if schema.enum_.is_none() && schema.format.is_none() => {
            schema.max_length = schema
                .max_length
                .or(Some(if foreign { MAX_FOREIGN_LENGTH } else { MAX_LENGTH }));
        }
        Some("object") if schema.additional_properties.is_some() && !preserved => {
            schema.max_properties = schema.max_properties.or(Some(MAX_PROPERTIES));
        }
        _ => {}
    }
    // An absent field is absent, never null, so that `has()` in a rule means what it says.
    schema.nullable = None;
    // Kubernetes knows no unsigned formats; the bounds say it.
    if schema
        .format
        .as_deref()
        .is_some_and(|format| format.starts_with("uint"))
    {
        schema.format = None;
    }
    if foreign || depth > DESCRIBED_DEPTH {
        schema.description = None;
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        let embedded = matches!(
            name.as_str(),
            "affinity"
                | "tolerations"
                | "topologySpreadConstraints"
                | "conditions"
                | "allowedNamespaces"
                | "imagePullSecrets"
        );
        if name == "message" {
            property.max_length = Some(MAX_MESSAGE);
        }
        let description = embedded.then(|| property.description.clone()).flatten();
        finish(property, depth + 1, foreign || embedded);
        if embedded && !foreign {
            property.description = description;
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        finish(items, depth + 1, foreign);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        // A Quantity's documentation is a page.
        finish(values, depth + 1, true);
    }
}
