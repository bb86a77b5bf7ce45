//! What the conformance cases send.

use std::path::Path;

use serde_json::Value;

/// Inputs by what they are.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Resources.
    pub resources: Vec<String>,
    /// JSON Patches and FHIRPath Patches.
    pub patches: Vec<String>,
    /// Query strings, with the path before them.
    pub queries: Vec<String>,
    /// FHIRPath expressions.
    pub paths: Vec<String>,
}

impl Corpus {
    /// Reads the cases of the repository.
    ///
    /// # Panics
    /// Without them.
    pub fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/fhir/cases");
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("`{}`: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let mut corpus = Self::default();
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a file");
            let cases: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
            corpus.visit(&cases);
        }
        corpus.settle();
        corpus
    }

    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(members) => {
                if let Some(method) = members.get("method").and_then(Value::as_str) {
                    self.request(method, value);
                }
                if let Some(path) = members.get("expression").and_then(Value::as_str) {
                    self.paths.push(path.to_owned());
                }
                members.values().for_each(|member| self.visit(member));
            }
            _ => {}
        }
    }

    fn request(&mut self, method: &str, request: &Value) {
        if let Some(path) = request["path"].as_str().filter(|path| path.contains('?')) {
            self.queries.push(path.trim_start_matches('/').to_owned());
        }
        let body = request.get("body").map(Value::to_string);
        let body = body.or_else(|| request["bodyText"].as_str().map(str::to_owned));
        match (method, body) {
            ("PATCH", Some(body)) => self.patches.push(body),
            (_, Some(body)) => self.resources.push(body),
            (_, None) => {}
        }
    }

    fn settle(&mut self) {
        for seeds in [
            &mut self.resources,
            &mut self.patches,
            &mut self.queries,
            &mut self.paths,
        ] {
            seeds.sort();
            seeds.dedup();
            // what is very long is no better a seed
            seeds.retain(|seed| seed.len() < 20_000);
        }
    }
}
