//! The charts' generated files are what this code generates.

use std::path::Path;

use fhir_operator::kubernetes::kinds::{Scope, rules_yaml};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts");

fn assert_generated(path: &str, wanted: &str) {
    let path = Path::new(ROOT).join(path);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        wanted,
        "{} is out of date: run `cargo xtask gen`",
        path.display()
    );
}

#[test]
fn rules_are_those_of_the_table() {
    for (file, scope) in [
        ("watched", Scope::Watched),
        ("cluster", Scope::Cluster),
        ("own", Scope::Own),
    ] {
        assert_generated(
            &format!("fhir-operator/files/rules-{file}.yaml"),
            &rules_yaml(scope).unwrap(),
        );
    }
}

#[test]
fn definitions_are_those_of_the_types() {
    for (name, text) in fhir_operator_api::yaml_files().unwrap() {
        assert_generated(&format!("fhir-operator-crds/files/{name}"), &text);
    }
}
