//! The generated files, and that nothing in them is unbounded.

use std::path::PathBuf;

use fhir_operator_api::{custom_resource_definitions, yaml_files};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

#[test]
fn the_files_are_what_the_types_say() {
    for (name, text) in yaml_files().unwrap() {
        let stored = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert!(stored == text, "crds/{name} is out of date: run `cargo xtask gen`");
    }
}

#[test]
fn every_list_string_and_map_is_bounded() {
    for definition in custom_resource_definitions() {
        let name = definition.metadata.name.clone().unwrap();
        let schema = definition.spec.versions[0]
            .schema
            .clone()
            .unwrap()
            .open_api_v3_schema
            .unwrap();
        let unbounded = unbounded(&schema, &name);
        assert!(unbounded.is_empty(), "{unbounded:?}");
    }
}

fn unbounded(schema: &JSONSchemaProps, path: &str) -> Vec<String> {
    let is_bounded = match schema.type_.as_deref() {
        Some("array") => schema.max_items.is_some(),
        Some("string") => schema.max_length.is_some() || schema.enum_.is_some() || schema.format.is_some(),
        Some("object") => schema.additional_properties.is_none() || schema.max_properties.is_some(),
        _ => true,
    };
    let mut found: Vec<String> = (!is_bounded).then(|| path.to_owned()).into_iter().collect();
    for (name, property) in schema.properties.iter().flatten() {
        found.extend(unbounded(property, &format!("{path}.{name}")));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        found.extend(unbounded(items, &format!("{path}[]")));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        found.extend(unbounded(values, &format!("{path}{{}}")));
    }
    found
}

#[test]
fn columns_are_the_contract() {
    let columns = custom_resource_definitions().map(|definition| {
        let columns = definition.spec.versions[0]
            .additional_printer_columns
            .clone()
            .unwrap_or_default();
        let name = |wide| -> Vec<String> {
            columns
                .iter()
                .filter(|column| (column.priority == Some(1)) == wide)
                .map(|column| column.name.clone())
                .collect()
        };
        (
            definition.spec.names.short_names.unwrap_or_default(),
            name(false),
            name(true),
        )
    });
    insta::assert_debug_snapshot!(columns);
}

#[test]
fn required_fields_are_the_contract() {
    let required = custom_resource_definitions().map(|definition| {
        let schema = definition.spec.versions[0].schema.clone().unwrap();
        let spec = schema.open_api_v3_schema.unwrap().properties.unwrap()["spec"].clone();
        required(&spec, &definition.spec.names.kind)
    });
    insta::assert_snapshot!(required.concat().join("\n"));
}

/// Paths of what has to be there; what is inside of Kubernetes' own types is theirs.
fn required(schema: &JSONSchemaProps, path: &str) -> Vec<String> {
    let own = |name: &str| {
        ![
            "affinity",
            "tolerations",
            "topologySpreadConstraints",
            "allowedNamespaces",
        ]
        .contains(&name)
    };
    let mut found: Vec<String> = schema
        .required
        .iter()
        .flatten()
        .map(|name| format!("{path}.{name}"))
        .collect();
    for (name, property) in schema.properties.iter().flatten().filter(|(name, _)| own(name)) {
        found.extend(required(property, &format!("{path}.{name}")));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        found.extend(required(items, &format!("{path}[]")));
    }
    found
}
