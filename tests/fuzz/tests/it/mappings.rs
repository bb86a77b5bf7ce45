//! Device mappings: messages, templates, and expressions in both languages.

use std::path::{Path, PathBuf};

use iot_mapping::{
    Compatibility::{Standard, Upstream},
    DeviceMapping, FhirMapping, Message,
    jmespath::{self, Query},
    json::Document,
    jsonpath::{self, Scope},
};
use serde_json::Value;

use crate::{memory, observations};

pub const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e400",
    "-0",
    "9223372036854775808",
    "$",
    "$..",
    "@",
    "matchedToken",
    "$.matchedToken",
    "[?(",
    ")]",
    "&&",
    "||",
    "=~ /(a*)*b/",
    "[*]",
    "[0:-1:-1]",
    "..*",
    "((((((((",
    "!!!!",
    "to_array(@)",
    "to_number(@)",
    "multiply(@, @)",
    "pow(`9`, `99`)",
    "insertString(@, 'x', `-1`)",
    "fromUnixTimestamp(`1e300`)",
    "sort_by(@, &a)",
    "map(&@, @)",
    "*.*.*",
    "a.b",
    "| [0]",
    "`{}`",
    "'",
    "JmesPath",
    "CalculatedContent",
    "IotJsonPathContent",
    "SampledData",
    "periodInterval",
    "required",
    "values",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
];

/// The cases' mappings, messages and expressions.
#[derive(Default)]
pub struct Corpus {
    pub device: Vec<String>,
    fhir: Vec<String>,
    pub messages: Vec<String>,
    expressions: Vec<String>,
}

impl Corpus {
    pub fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/mapping");
        let mut files = Vec::new();
        collect(&folder, &mut files);
        files.sort();
        let mut corpus = Self::default();
        for file in files {
            let case = std::fs::read(&file).expect("a file");
            corpus.visit(&serde_json::from_slice(&case).unwrap_or_default());
        }
        assert!(
            corpus.device.len() > 20 && corpus.messages.len() > 20,
            "the cases are read"
        );
        corpus
    }

    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "deviceTemplate" => self.device.push(member.to_string()),
                        "fhirTemplate" => self.fhir.push(member.to_string()),
                        "root" | "data" => self.messages.push(member.to_string()),
                        name if name.ends_with("xpression") => {
                            self.expressions.extend(member.as_str().map(str::to_owned));
                        }
                        _ => {}
                    }
                    self.visit(member);
                }
            }
            _ => {}
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the cases").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

pub fn mapping(text: &str) -> Option<DeviceMapping> {
    DeviceMapping::load(text, Standard).mapping
}

#[test]
fn messages() {
    memory::bounded();
    let corpus = Corpus::read();
    let mappings: Vec<DeviceMapping> = corpus.device.iter().filter_map(|text| mapping(text)).collect();
    fuzz::run("messages", &corpus.messages, WORDS, 1_000, |text| {
        for mapping in &mappings {
            let together = mapping.normalise(Message::Whole(text.as_bytes()));
            let (body, context) = (text.as_bytes(), r#"{"Properties": {}, "SystemProperties": {}}"#);
            mapping.normalise(Message::Body { body, context });
            // one walk for all templates is what each finds by itself
            assert_eq!(
                together,
                mapping.clone().uncompiled().normalise(Message::Whole(text.as_bytes()))
            );
        }
    });
}

#[test]
fn device_templates() {
    memory::bounded();
    let corpus = Corpus::read();
    let messages: Vec<&String> = corpus.messages.iter().step_by(7).collect();
    fuzz::run("device templates", &corpus.device, WORDS, 2_000, |text| {
        for compatibility in [Standard, Upstream] {
            let loaded = DeviceMapping::load(text, compatibility);
            assert!(loaded.mapping.is_some() || !loaded.errors.is_empty(), "nothing is said");
            for message in messages.iter().take(5) {
                if let Some(mapping) = &loaded.mapping {
                    mapping.normalise(Message::Whole(message.as_bytes()));
                }
            }
        }
    });
}

#[test]
fn fhir_templates() {
    memory::bounded();
    let corpus = Corpus::read();
    fuzz::run("FHIR templates", &corpus.fhir, WORDS, 5_000, |text| {
        for compatibility in [Standard, Upstream] {
            let loaded = FhirMapping::load(text, compatibility);
            assert!(loaded.mapping.is_some() || !loaded.errors.is_empty(), "nothing is said");
            if let Some(mapping) = &loaded.mapping {
                observations::of_any_template(mapping);
            }
        }
    });
}

#[test]
fn expressions() {
    memory::bounded();
    let corpus = Corpus::read();
    let documents: Vec<Document<'_>> = corpus
        .messages
        .iter()
        .step_by(5)
        .take(8)
        .map(|text| Document::parse(text.as_bytes()).expect("JSON"))
        .collect();
    let data: Vec<_> = documents
        .iter()
        .map(|document| jmespath::variable(document, 0))
        .collect();
    // as long and as deep as an expression may be, and longer
    let long = [30, 190, 2_000].into_iter().flat_map(|times| {
        [
            "a.".repeat(times) + "b",
            "!".repeat(times) + "a",
            "a || ".repeat(times) + "b",
            "[*]".repeat(times),
            format!("{}@{}", "not_null(".repeat(times), ")".repeat(times)),
            format!("$..[?({}@a)]", "@b && ".repeat(times)),
            format!("${}", "..a".repeat(times.min(190))),
        ]
    });
    let seeds: Vec<String> = corpus.expressions.iter().cloned().chain(long).collect();
    fuzz::run("mapping expressions", &seeds, WORDS, 5_000, |text| {
        if let Ok(path) = jsonpath::Path::parse(text) {
            for document in &documents {
                let _ = Scope::at(document, 0).select(&path);
            }
        }
        for compatibility in [Standard, Upstream] {
            if let Ok(query) = Query::parse(text, compatibility) {
                for data in &data {
                    let _ = query.select(data);
                }
            }
        }
    });
}
