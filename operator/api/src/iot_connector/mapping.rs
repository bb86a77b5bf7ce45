//! Mapping templates: Azure's JSON unchanged, inline or in a ConfigMap.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Either `templateType` with `template`, or `configMap` with `key`.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.configMap) ? has(self.key) && !has(self.templateType) && !has(self.template) : has(self.templateType) && has(self.template) && !has(self.key)")
        .message("a mapping is either templateType with template, or configMap with key")
)]
pub struct Mapping {
    /// ConfigMap in the same namespace, labelled `fhir-operator.dev/mapping: "true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// Key in its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
    /// `CollectionContent` or `CollectionFhir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub template_type: Option<String>,
    /// The templates of the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "templates")]
    pub template: Option<Vec<Value>>,
}

fn templates(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        "nullable": true
    })
}
