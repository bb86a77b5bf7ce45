//! `_summary` and `_elements`: a part of a resource, marked as such by a tag (FHIR, section search, summary).

use std::borrow::Cow;

use fhir_definitions::{Definitions, FhirVersion, Structure, StructureKind};
use fhir_resource::edit::Edits;
use fhir_resource::{Document, Limits, Node, write_minified, write_string};
use fhir_search::parse::Summary;

use crate::http::failure::{Failure, Result};

/// Reads both parameters where no search is parsed.
pub fn wanted(query: &[(String, String)]) -> Result<(Summary, Vec<String>)> {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let summary = match parameter("_summary") {
        None | Some("false") => Summary::False,
        Some("true") => Summary::True,
        Some("text") => Summary::Text,
        Some("data") => Summary::Data,
        Some("count") => Summary::Count,
        Some(other) => {
            return Err(Failure::invalid(format!(
                "The '_summary' parameter value '{other}' is invalid."
            )));
        }
    };
    let elements: Vec<String> = parameter("_elements")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .map(str::to_owned)
        .collect();
    let elements: Vec<String> = elements.into_iter().filter(|name| !name.is_empty()).collect();
    if elements.is_empty() && parameter("_elements").is_some() {
        return Err(Failure::invalid(
            "The '_elements' parameter must name at least one element.",
        ));
    }
    if summary != Summary::False && !elements.is_empty() {
        return Err(Failure::invalid(
            "The '_elements' parameter is supported only when '_summary' is SummaryType.False or '_summary' is not \
             specified at all.",
        ));
    }
    Ok((summary, elements))
}

/// The part of `body` that is wanted. A body that can't be read stays whole.
pub fn of(definitions: &'static Definitions, body: Vec<u8>, summary: Summary, elements: &[String]) -> Vec<u8> {
    let Ok(document) = Document::parse(
        body.as_slice(),
        Limits {
            depth: 256,
            ..Limits::default()
        },
    ) else {
        return body;
    };
    let root = document.root();
    let structure = root
        .text_of("resourceType")
        .and_then(|name| definitions.resource_type(&name));
    let Some(structure) = structure.map(fhir_definitions::ResourceType::structure) else {
        return body;
    };
    let mut out = Vec::with_capacity(body.len() / 2);
    members(
        root,
        structure,
        &mut out,
        &mut |name| {
            if matches!(name, "resourceType" | "id" | "meta") {
                return true;
            }
            let bare = name.strip_prefix('_').unwrap_or(name);
            let Some(element) = structure.element(bare) else {
                return false;
            };
            let mandatory = element.min() > 0;
            match summary {
                Summary::False => {
                    mandatory
                        || elements
                            .iter()
                            .any(|wanted| *wanted == element.base_name() || wanted == bare)
                }
                Summary::True => mandatory || element.is_summary(),
                Summary::Text => mandatory || bare == "text",
                Summary::Data => bare != "text",
                Summary::Count => true,
            }
        },
        summary == Summary::True,
        definitions.version(),
    );
    out
}

/// Writes the members that `keep` wants, and within backbone elements of summaries only those of the summary.
fn members(
    object: Node<'_>,
    structure: Structure,
    out: &mut Vec<u8>,
    keep: &mut dyn FnMut(&str) -> bool,
    summarise: bool,
    version: FhirVersion,
) {
    out.push(b'{');
    let mut first = true;
    for (name, value) in object.entries().filter(|(name, _)| keep(name)) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_string(&name, out);
        out.push(b':');
        let backbone = structure.element(&name).map(fhir_definitions::Element::structure);
        let backbone = backbone.filter(|inner| summarise && inner.kind() == StructureKind::Backbone);
        match backbone {
            _ if name == "meta" && structure.kind() == StructureKind::Resource => meta(value, out, version),
            Some(inner) => summary_of(value, inner, out, version),
            None => write_minified(value, &Edits::NONE, out),
        }
    }
    if structure.kind() == StructureKind::Resource && object.get("meta").is_none() {
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(b"\"meta\":{\"tag\":[");
        out.extend_from_slice(subsetted(version).as_bytes());
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
}

fn summary_of(value: Node<'_>, structure: Structure, out: &mut Vec<u8>, version: FhirVersion) {
    if value.is_array() {
        out.push(b'[');
        for (index, item) in value.items().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            summary_of(item, structure, out, version);
        }
        out.push(b']');
        return;
    }
    let mut keep = |name: &str| {
        let element = structure.element(name.strip_prefix('_').unwrap_or(name));
        element.is_some_and(|element| element.is_summary() || element.min() > 0)
    };
    members(value, structure, out, &mut keep, true, version);
}

/// `meta` with the tag that says that this is a part.
fn meta(meta: Node<'_>, out: &mut Vec<u8>, version: FhirVersion) {
    out.push(b'{');
    for (name, value) in meta.entries().filter(|(name, _): &(Cow<'_, str>, _)| name != "tag") {
        write_string(&name, out);
        out.push(b':');
        write_minified(value, &Edits::NONE, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"tag\":[");
    for item in meta.get("tag").into_iter().flat_map(Node::items) {
        write_minified(item, &Edits::NONE, out);
        out.push(b',');
    }
    out.extend_from_slice(subsetted(version).as_bytes());
    out.extend_from_slice(b"]}");
}

/// The tag of a part.
fn subsetted(version: FhirVersion) -> String {
    let system = match version {
        FhirVersion::R4 => "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        FhirVersion::Stu3 => "http://hl7.org/fhir/v3/ObservationValue",
    };
    format!(r#"{{"system":"{system}","code":"SUBSETTED"}}"#)
}
