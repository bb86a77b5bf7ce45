//! The OpenAPI document, made from the table of routes and that of operations. What a resource looks like is said by FHIR's
//! own definitions, not here.

use fhir_definitions::{Compartment, Definitions, FhirVersion, ResourceType};
use http::Method;
use serde_json::{Map, Value, json};

use super::operation::SERVED;
use super::reply::Reply;
use super::route::Interaction;
use super::routes;

/// `GET openapi.json`
pub fn openapi(definitions: &'static Definitions, base: &str) -> Reply {
    Reply {
        foreign: Some("application/json"),
        ..Reply::ok(document(definitions, base).to_string().into_bytes())
    }
}

/// The document of a service at `base`.
fn document(definitions: &'static Definitions, base: &str) -> Value {
    let mut paths = Map::new();
    let mut put = |path: &str, method: &Method, operation: Value| {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.as_str().to_ascii_lowercase(), operation);
        }
    };
    for row in routes::rows(definitions) {
        let code = row.interaction.code();
        let mut described = operation(&row.path, row.method, code, summary(&row.interaction));
        if row.interaction.is_open()
            && let Some(described) = described.as_object_mut()
        {
            described.insert("security".to_owned(), json!([]));
        }
        put(&row.path, row.method, described);
    }
    for served in SERVED {
        for path in served.paths() {
            for method in served.methods() {
                let summary = format!("The operation ${}, {}", served.code, served.definition);
                put(&path, method, operation(&path, method, served.code, &summary));
            }
        }
    }
    let version = definitions.version();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("FHIR {} service", short(version)),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The FHIR REST API. `GET metadata` lists search parameters, includes and operations of each type.",
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": components(definitions),
    })
}

fn short(version: FhirVersion) -> &'static str {
    match version {
        FhirVersion::R4 => "R4",
        FhirVersion::Stu3 => "STU3",
    }
}

/// What an interaction does, in a few words.
fn summary(interaction: &Interaction) -> &'static str {
    match interaction {
        Interaction::Capabilities => "What this server can do",
        Interaction::OpenApi => "This document",
        Interaction::SmartConfiguration => "What SMART apps need to know, where SMART is enabled",
        Interaction::Versions => "The FHIR versions that are served",
        Interaction::Bundle => "Carry out a batch or a transaction",
        Interaction::SearchSystem => "Search over all types",
        Interaction::SearchType(_) => "Search resources of a type",
        Interaction::SearchCompartment { .. } => "Search in a compartment",
        Interaction::Create(_) => "Create a resource; `If-None-Exist` makes it conditional",
        Interaction::Read(..) => "Read a resource",
        Interaction::VersionRead(..) => "Read a version of a resource",
        Interaction::Update(..) => "Update a resource, or create it under this id",
        Interaction::ConditionalUpdate(_) => "Update the resource that the criteria find, or create one",
        Interaction::Patch(..) => "Change a part of a resource",
        Interaction::ConditionalPatch(_) => "Change a part of the resource that the criteria find",
        Interaction::Delete(..) => "Delete a resource",
        Interaction::ConditionalDelete(_) => "Delete what the criteria find",
        Interaction::HistoryInstance(..) => "The versions of a resource",
        Interaction::HistoryType(_) => "The versions of all resources of a type",
        Interaction::HistorySystem => "The versions of all resources",
        Interaction::Job(..) => "How far background work is; DELETE stops it",
        Interaction::Operation(_) => "An operation",
    }
}

fn operation(path: &str, method: &Method, code: &str, summary: &str) -> Value {
    let in_path = path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"$ref": format!("#/components/parameters/{name}")}))
    });
    let mut parameters: Vec<Value> = in_path.collect();
    let is_resource = ![Interaction::OpenApi, Interaction::SmartConfiguration]
        .iter()
        .any(|other| other.code() == code);
    if is_resource {
        parameters.push(json!({"$ref": "#/components/parameters/_format"}));
        parameters.push(json!({"$ref": "#/components/parameters/_pretty"}));
    }
    let takes_query = code.starts_with("search") || code.starts_with("conditional") || code.starts_with("history");
    if takes_query || path.contains('$') {
        parameters.push(json!({"$ref": "#/components/parameters/query"}));
    }
    if *method == Method::PUT || *method == Method::PATCH || *method == Method::DELETE {
        parameters.push(json!({"$ref": "#/components/parameters/If-Match"}));
    }
    if code == "create" {
        parameters.push(json!({"$ref": "#/components/parameters/If-None-Exist"}));
    }
    if *method != Method::GET {
        parameters.push(json!({"$ref": "#/components/parameters/Prefer"}));
    }
    let mut described = json!({
        "operationId": operation_id(path, method),
        "summary": summary,
        "parameters": parameters,
        "responses": if is_resource { responses(method, code) } else { json!({"200": {"description": "JSON"}}) },
    });
    let body = match *method {
        Method::POST if path.ends_with("_search") => Some("form"),
        Method::PATCH => Some("patch"),
        Method::POST | Method::PUT => Some("resource"),
        _ => None,
    };
    if let (Some(body), Some(described)) = (body, described.as_object_mut()) {
        let body = json!({"$ref": format!("#/components/requestBodies/{body}")});
        described.insert("requestBody".to_owned(), body);
    }
    described
}

/// One name for each path and method: `get_type_id_history`.
fn operation_id(path: &str, method: &Method) -> String {
    let mut id = method.as_str().to_ascii_lowercase();
    for word in path.split(|next: char| !next.is_ascii_alphanumeric()) {
        if !word.is_empty() {
            id.push('_');
            id.push_str(word);
        }
    }
    if path.ends_with('*') {
        id.push_str("_all");
    }
    id
}

fn responses(method: &Method, code: &str) -> Value {
    let resource = || json!({"$ref": "#/components/responses/resource"});
    let outcome = || json!({"$ref": "#/components/responses/outcome"});
    let mut responses = Map::new();
    let is_deletion = *method == Method::DELETE;
    if is_deletion {
        responses.insert("204".to_owned(), json!({"description": "Deleted"}));
    }
    responses.insert("200".to_owned(), if is_deletion { outcome() } else { resource() });
    if matches!(code, "create" | "update" | "conditional-update") {
        responses.insert("201".to_owned(), resource());
    }
    if matches!(code, "read" | "vread") {
        responses.insert("304".to_owned(), json!({"description": "The client has this version"}));
        responses.insert("410".to_owned(), outcome());
    }
    responses.insert("default".to_owned(), outcome());
    Value::Object(responses)
}

fn components(definitions: &'static Definitions) -> Value {
    let types: Vec<&str> = definitions.resource_types().map(ResourceType::name).collect();
    let compartments: Vec<&str> = definitions.compartments().map(Compartment::name).collect();
    let in_path = |name: &str, schema: Value| json!({"name": name, "in": "path", "required": true, "schema": schema});
    let in_query = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    let header = |name: &str, example: &str| json!({"name": name, "in": "header", "schema": {"type": "string"}, "example": example});
    let resource = json!({"schema": {"$ref": "#/components/schemas/Resource"}});
    let xml = json!({"schema": {"type": "string"}});
    let content = json!({"application/fhir+json": resource, "application/fhir+xml": xml});
    json!({
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Resource": {
                "type": "object",
                "required": ["resourceType"],
                "properties": {"resourceType": {"type": "string"}},
                "externalDocs": {"url": definitions_url(definitions.version())},
            },
        },
        "parameters": {
            "type": in_path("type", json!({"type": "string", "enum": types})),
            "member": in_path("member", json!({"type": "string", "enum": types})),
            "compartment": in_path("compartment", json!({"type": "string", "enum": compartments})),
            "id": in_path("id", json!({"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"})),
            "version": in_path("version", json!({"type": "string", "pattern": "^[0-9]+$"})),
            "_format": in_query("_format", json!({"type": "string"})),
            "_pretty": in_query("_pretty", json!({"type": "boolean"})),
            "query": {
                "name": "query", "in": "query", "style": "form", "explode": true,
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "If-Match": header("If-Match", "W/\"1\""),
            "If-None-Exist": header("If-None-Exist", "identifier=http://example.org|1"),
            "Prefer": header("Prefer", "return=minimal"),
        },
        "requestBodies": {
            "resource": {"required": true, "content": content},
            "patch": {"required": true, "content": {
                "application/json-patch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
                "application/fhir+json": resource,
                "application/fhir+xml": xml,
            }},
            "form": {"content": {"application/x-www-form-urlencoded": {
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            }}},
        },
        "responses": {
            "resource": {"description": "A resource", "content": content},
            "outcome": {"description": "An OperationOutcome that says what is wrong", "content": content},
        },
    })
}

fn definitions_url(version: FhirVersion) -> &'static str {
    match version {
        FhirVersion::R4 => "http://hl7.org/fhir/R4/resourcelist.html",
        FhirVersion::Stu3 => "http://hl7.org/fhir/STU3/resourcelist.html",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::http::call::segments;

    fn of(version: FhirVersion) -> Value {
        document(version.definitions(), "http://localhost:8080")
    }

    /// `UPDATE_REFERENCE=1 cargo test -p fhir-server openapi` writes them.
    #[rstest]
    #[case(FhirVersion::R4, "r4.json")]
    #[case(FhirVersion::Stu3, "stu3.json")]
    fn the_reference_is_up_to_date(#[case] version: FhirVersion, #[case] file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi").join(file);
        let text = format!("{:#}\n", of(version));
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == text,
            "{} is out of date: UPDATE_REFERENCE=1 writes it",
            path.display()
        );
    }

    /// Every path and method leads where the document says, and no other method does.
    #[rstest]
    fn the_router_does_what_is_written(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
        let document = of(version);
        let mut ids = BTreeSet::new();
        for (template, item) in document["paths"].as_object().expect("paths") {
            let path = template
                .replace("{type}", "Patient")
                .replace("{compartment}", "Patient")
                .replace("{member}", "Observation")
                .replace("{id}", "a")
                .replace("{version}", "1");
            assert!(!path.contains('{'), "{path}");
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                let asked = method.parse().expect("method");
                let found = Interaction::of(&asked, &segments(&path), version.definitions());
                let written = item.get(method.to_ascii_lowercase());
                match (found, written) {
                    (Ok(_), Some(written)) => assert!(ids.insert(written["operationId"].to_string()), "{written}"),
                    (Err(failure), None) => assert_eq!(failure.status, 405, "{method} {path}"),
                    (found, written) => panic!("{method} {path}: {found:?}, but {written:?}"),
                }
            }
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let document = of(FhirVersion::R4);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
