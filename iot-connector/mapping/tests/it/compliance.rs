//! The official compliance tests of JMESPath, as the crate that parses for us brings them along.

use std::{path::PathBuf, process::Command};

use iot_mapping::{
    Compatibility::Standard,
    jmespath::{Query, variable},
    json::Document,
};
use serde_json::Value;

/// Where the crate's own tests are.
fn folder() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "jmespath").unwrap();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    manifest.with_file_name("tests").join("compliance")
}

/// Whole numbers and others are one type there.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let has = |(name, value): (&String, &Value)| right.get(name).is_some_and(|other| same(value, other));
            left.len() == right.len() && left.iter().all(has)
        }
        _ => left == right,
    }
}

/// The result; `None` for an error, whenever it is found.
fn result(expression: &str, given: &str) -> Option<Value> {
    let query = Query::parse(expression, Standard).ok()?;
    let document = Document::parse(given.as_bytes()).unwrap();
    let found = query.evaluate(&variable(&document, 0)).ok()?;
    Some(serde_json::to_value(&*found).unwrap())
}

#[test]
fn the_official_tests_pass() {
    let (mut passed, mut failed) = (0, Vec::new());
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let suites: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for suite in suites {
            let given = suite["given"].to_string();
            for case in suite["cases"].as_array().unwrap() {
                let expression = case["expression"].as_str().unwrap();
                // What only has a time to be measured promises no result.
                let right = match (case.get("result"), case.get("error")) {
                    (Some(expected), _) => result(expression, &given).is_some_and(|found| same(&found, expected)),
                    (None, Some(_)) => result(expression, &given).is_none(),
                    (None, None) => continue,
                };
                if right {
                    passed += 1;
                } else {
                    failed.push(format!("{}: {expression} of {given}", path.display()));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
    assert!(passed > 800, "{passed}");
}
