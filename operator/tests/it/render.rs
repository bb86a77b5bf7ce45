//! `fhir-operator render`: what would be applied, for the examples that this repository ships.

use fhir_operator::reconcile::render::render;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// All examples as one stream of documents.
fn examples() -> String {
    let mut files: Vec<_> = std::fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let texts: Vec<String> = files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    texts.join("\n---\n")
}

/// Kind and name of each document.
fn named(documents: &[String]) -> Vec<String> {
    let text = |document: &str, field: &str| {
        let line = document
            .lines()
            .find(|line| line.trim_start().starts_with(field))
            .unwrap_or_default();
        line.trim_start().trim_start_matches(field).trim().to_owned()
    };
    let name = |document: &str| {
        let line = document
            .lines()
            .find(|line| line.starts_with("  name:"))
            .unwrap_or_default();
        line.trim_start_matches("  name:").trim().to_owned()
    };
    documents
        .iter()
        .map(|document| format!("{} {}", text(document, "kind:"), name(document)))
        .collect()
}

#[test]
fn the_examples_become_these_objects() {
    let rendered = named(&render(&examples(), "test:1").unwrap());
    let service = |name: &str| {
        [
            format!("ServiceAccount {name}-fhir"),
            format!("NetworkPolicy {name}-fhir"),
            format!("ConfigMap {name}-fhir-settings"),
            format!("ConfigMap {name}-fhir-access"),
            format!("PersistentVolumeClaim {name}-fhir-data"),
            format!("Service {name}"),
            format!("StatefulSet {name}-fhir"),
        ]
    };
    let connector = [
        "ServiceAccount vitals-iot",
        "NetworkPolicy vitals-iot",
        "ConfigMap vitals-iot-settings",
        "ConfigMap vitals-iot-mapping",
        "ConfigMap vitals-iot-keys",
        "PersistentVolumeClaim vitals-iot-data",
        "Service vitals-iot",
        "StatefulSet vitals-iot",
    ];
    let wanted: Vec<String> = service("clinic")
        .into_iter()
        .chain(service("archive"))
        .chain(connector.map(ToOwned::to_owned))
        .collect();
    assert_eq!(rendered, wanted);
}

#[test]
fn what_would_be_refused_is_told() {
    let text = "
apiVersion: fhir-operator.dev/v1alpha1
kind: FhirService
metadata: {name: clinic}
spec:
  fhirVersion: R4
  authentication: {serviceAccounts: true}
  networking: {host: fhir.example.org}
";
    let error = render(text, "test:1").unwrap_err().to_string();
    assert!(
        error.contains("FhirService `clinic` would be refused") && error.contains("networking.host"),
        "{error}"
    );
}

#[test]
fn a_document_that_does_not_fit_is_located() {
    let text = "kind: Tenant\nmetadata: {name: t}\nspec: {}\n---\nkind: FhirService\nmetadata: {name: x}\nspec: {}\n";
    let error = render(text, "test:1").unwrap_err().to_string();
    assert_eq!(error, "document 2 isn't a valid FhirService");
}
