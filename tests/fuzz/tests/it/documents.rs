//! JSON, XML and patches.

use fhir_definitions::FhirVersion;
use fhir_resource::xml::{self, Style};
use fhir_resource::{Document, Limits, Node, patch, validation};
use fuzz::Corpus;

use crate::memory;

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\udc00\\ud800",
    ",",
    ":",
    "null",
    "true",
    "-",
    "-0",
    "1e999",
    "1E+",
    "0.1e-400",
    "00",
    "\u{feff}",
    "\u{0}",
    "\"resourceType\":",
    "\"extension\":[{",
    "\"contained\":[",
    "\"_birthDate\":",
    "\"id\":\"\"",
    "[null]",
    "99999999999999999999999999",
];
const XML: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "<a>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "&#x0;",
    "&#65536;",
    "&amp",
    "<?xml version=\"1.0\" encoding=\"utf-16\"?>",
    "xmlns=\"\"",
    "xmlns:x=\"x\"",
    "<div xmlns=\"http://www.w3.org/1999/xhtml\">",
    "<extension url=\"\">",
    "value=\"",
    "<contained>",
    "\u{0}",
    "\u{feff}",
];
const PATCH: &[&str] = &[
    "/",
    "/-",
    "/0",
    "/~0",
    "/~1",
    "/~2",
    "//",
    "\"op\":\"move\",\"from\":",
    "\"copy\"",
    "\"test\"",
    "\"replace\"",
    "Patient.",
    "Patient.name.where(",
    ")",
    "[0]",
    "[99999999999]",
    "\"valueString\":",
    "\"valueCode\":\"insert\"",
    "\"index\"",
    "repeat(children())",
    "descendants()",
];

/// Looks at everything.
fn walk(node: Node<'_>) -> usize {
    let members: usize = node.entries().map(|(name, value)| name.len() + walk(value)).sum();
    let items: usize = node.items().map(walk).sum();
    members + items + node.as_str().map_or(0, |text| text.len())
}

#[test]
fn json() {
    memory::bounded();
    let definitions = FhirVersion::R4.definitions();
    fuzz::run("json", &Corpus::read().resources, JSON, 3_000, |text| {
        let Ok(document) = Document::parse(text.to_owned(), Limits::default()) else {
            return;
        };
        walk(document.root());
        validation::validate(definitions, document.root());
        // what is written is read again
        let written = xml::write_text(
            definitions,
            text,
            Style {
                pretty: false,
                lossy: true,
            },
        );
        if let Ok(written) = written
            && let Ok(read) = xml::read(definitions, &written, Limits::default())
        {
            Document::parse(read, Limits::default()).expect("JSON");
        }
    });
}

#[test]
fn xml() {
    memory::bounded();
    let definitions = FhirVersion::R4.definitions();
    let style = Style {
        pretty: true,
        lossy: true,
    };
    let written = Corpus::read().resources.into_iter().filter_map(|json| {
        let xml = xml::write_text(definitions, &json, style).ok()?;
        String::from_utf8(xml).ok()
    });
    let seeds: Vec<String> = written.collect();
    fuzz::run("xml", &seeds, XML, 3_000, |text| {
        if let Ok(json) = xml::read(definitions, text.as_bytes(), Limits::default()) {
            let document = Document::parse(json, Limits::default()).expect("JSON");
            walk(document.root());
        }
    });
}

#[test]
fn patches() {
    memory::bounded();
    let definitions = FhirVersion::R4.definitions();
    let patient = r#"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A","given":["b","c"]},{"family":"D"}],
        "birthDate":"1970-01-01","contact":[{"name":{"family":"E"}}],"extension":[{"url":"urn:x","valueString":"y"}]}"#;
    let patient = Document::parse(patient, Limits::default()).expect("a patient");
    fuzz::run("patches", &Corpus::read().patches, PATCH, 3_000, |text| {
        let Ok(operations) = Document::parse(text.to_owned(), Limits::default()) else {
            return;
        };
        let patched = if operations.root().is_array() {
            patch::json(patient.root(), operations.root())
        } else {
            patch::fhirpath(definitions, patient.root(), operations.root())
        };
        if let Ok(patched) = patched {
            walk(patched.root());
        }
    });
}
