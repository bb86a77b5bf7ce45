//! HL7's own examples: each is accepted, comes back the same, and is found by all that a search parameter says of it.

use fhir_cases::shared::{self, File};
use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::{Document, Limits};
use fhir_server_settings::FhirVersion as Served;
use futures::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::server::Server;
use crate::values::queries;

/// What isn't what its version asks for, and why.
const WRONG: &[(&str, &str)] = &[(
    "ImplementationGuide/fhir",
    "STU3's own has no name and no status, both of which STU3 requires",
)];
/// Requests at a time.
const PARALLEL: usize = 8;

struct Example {
    resource_type: String,
    id: String,
    text: String,
}

impl Example {
    fn of(file: &File) -> Option<Self> {
        let resource: Value = serde_json::from_str(&file.text).expect("an example is JSON");
        let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
        let mut example = Self {
            resource_type: text("resourceType"),
            id: text("id"),
            text: file.text.clone(),
        };
        if example.id.is_empty() {
            // one of them says nothing: it is put where the others are
            "nameless".clone_into(&mut example.id);
            example.text = example.text.replacen('{', r#"{"id":"nameless","#, 1);
        }
        let wrong = WRONG.iter().find(|(place, _)| *place == example.place());
        if let Some((place, why)) = wrong {
            println!("left out: {place}: {why}");
        }
        // Parameters are what operations take; they aren't kept
        (wrong.is_none() && example.resource_type != "Parameters").then_some(example)
    }

    fn place(&self) -> String {
        format!("{}/{}", self.resource_type, self.id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_examples_are_kept_and_found() {
    are_kept_and_found("r4", FhirVersion::R4, Served::R4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stu3_examples_are_kept_and_found() {
    are_kept_and_found("stu3", FhirVersion::Stu3, Served::Stu3).await;
}

async fn are_kept_and_found(folder: &str, version: FhirVersion, served: Served) {
    let Some(files) = shared::examples(folder).expect("readable examples") else {
        return;
    };
    let examples: Vec<Example> = files.iter().filter_map(Example::of).collect();
    let server = Server::start(served).await;
    let kept = stream::iter(&examples).map(|example| kept(&server, example));
    let mut problems: Vec<String> = kept.buffer_unordered(PARALLEL).filter_map(async |p| p).collect().await;
    let definitions = Definitions::of(version);
    let asked = examples.iter().flat_map(|example| {
        let document = Document::parse(example.text.clone(), Limits::default()).expect("an example is JSON");
        let queries = queries(definitions, &example.resource_type, document.root());
        queries.into_iter().map(move |query| (example, query))
    });
    let asked: Vec<_> = asked.collect();
    let found = stream::iter(&asked).map(|(example, query)| found(&server, example, query));
    problems.extend(
        found
            .buffer_unordered(PARALLEL)
            .filter_map(async |p| p)
            .collect::<Vec<_>>()
            .await,
    );
    println!("{folder}: {} examples, {} searches", examples.len(), asked.len());
    assert!(asked.len() > examples.len(), "nearly nothing was asked");
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// What is wrong with how it is kept.
async fn kept(server: &Server, example: &Example) -> Option<String> {
    let place = example.place();
    let (status, answer) = server.send(Method::PUT, &place, Some(&example.text)).await;
    if status != StatusCode::CREATED {
        return Some(format!("PUT {place}: {status} {answer}"));
    }
    let read = server.get(&place).await;
    let sent = serde_json::from_str(&example.text).expect("an example is JSON");
    let (sent, read) = (without_own_meta(sent), without_own_meta(read));
    (sent != read).then(|| format!("{place} comes back different:\n{sent}\n{read}"))
}

/// As text, in the order of its members, without what the server says of a version.
fn without_own_meta(mut resource: Value) -> String {
    let members = resource.as_object_mut().expect("a resource is an object");
    let meta = members.get_mut("meta").and_then(Value::as_object_mut);
    if let Some(meta) = meta {
        meta.shift_remove("versionId");
        meta.shift_remove("lastUpdated");
        if meta.is_empty() {
            members.shift_remove("meta");
        }
    }
    resource.to_string()
}

/// What is wrong with how it is found.
async fn found(server: &Server, example: &Example, query: &str) -> Option<String> {
    let search = format!("{}?{query}&_count=1000", example.resource_type);
    let (status, answer) = server.send(Method::GET, &search, None).await;
    let entries = answer["entry"].as_array().into_iter().flatten();
    let found = entries
        .filter(|entry| entry["search"]["mode"] == "match")
        .any(|entry| entry["resource"]["id"] == *example.id);
    if status == StatusCode::OK && found {
        return None;
    }
    let issue = answer.pointer("/issue/0/diagnostics").unwrap_or(&Value::Null);
    Some(format!(
        "{} isn't found by {search} ({status} {issue})",
        example.place()
    ))
}
