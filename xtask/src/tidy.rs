//! `cargo xtask tidy`: the rules of dependence, proved against the real dependency graph.
//!
//! Pure crates link nothing that does I/O, nobody links a second crypto provider, and arrows between our own crates
//! point one way (docs/architecture.md).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Crates that compute only: time comes in as a value.
const PURE: &[&str] = &[
    "daemon-settings",
    "fhir-definitions",
    "fhir-operator-api",
    "fhir-operator-core",
    "fhir-resource",
    "fhir-search",
    "fhir-server-settings",
    "iot-connector-settings",
    "iot-mapping",
];

/// What a pure crate must not link.
const IMPURE: &[&str] = &["axum", "hyper", "kube-client", "reqwest", "rusqlite", "sqlx", "tokio"];

/// What nobody may link: one crypto provider (aws-lc-rs), no crate with open advisories.
const BANNED: &[&str] = &["native-tls", "openssl-sys", "ring", "rumqttc", "serde_yml"];

/// What a crate links all the same.
const EXCEPTIONS: &[(&str, &str)] = &[
    // rskafka asks rustls for ring, too; the provider that is installed, aws-lc-rs, does the work
    ("iot-connector", "ring"),
];

/// Our own crates that a crate may link, directly or not; a crate that isn't listed here is free.
const ARROWS: &[(&str, &[&str])] = &[
    ("daemon-settings", &[]),
    ("daemon", &["daemon-settings"]),
    ("bearer", &["daemon", "daemon-settings"]),
    ("otlp", &["daemon", "daemon-settings"]),
    ("fhir-definitions", &[]),
    ("fhir-server-settings", &["daemon-settings"]),
    ("iot-connector-settings", &["daemon-settings"]),
    ("iot-mapping", &[]),
    ("fhir-resource", &["fhir-definitions"]),
    ("fhir-search", &["fhir-definitions", "fhir-resource"]),
    ("fhir-storage", &["fhir-definitions", "fhir-resource", "fhir-search"]),
    (
        "fhir-operator-api",
        &["daemon-settings", "fhir-server-settings", "iot-connector-settings"],
    ),
    (
        "fhir-operator-core",
        &[
            "daemon-settings",
            "fhir-operator-api",
            "fhir-server-settings",
            "iot-connector-settings",
            "iot-mapping",
        ],
    ),
    (
        "fhir-operator",
        &[
            "daemon",
            "daemon-settings",
            "fhir-operator-api",
            "fhir-operator-core",
            "fhir-server-settings",
            "iot-connector-settings",
            "iot-mapping",
            "otlp",
        ],
    ),
    ("xtask", &["fhir-definitions"]),
];

/// Fails with every broken rule, not only the first.
pub fn run(root: &Path) -> Result<()> {
    let own = members(root)?;
    let mut broken = Vec::new();
    for name in &own {
        let linked = linked(root, name)?;
        let forbids = |list: &[&str]| {
            list.iter()
                .filter(|c| linked.iter().any(|l| l == *c))
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let excepted = |found: &str| EXCEPTIONS.contains(&(name.as_str(), found));
        for found in forbids(BANNED).iter().filter(|found| !excepted(found)) {
            broken.push(format!("`{name}` links `{found}`, which is banned (see deny.toml)"));
        }
        if PURE.contains(&name.as_str()) {
            for found in forbids(IMPURE) {
                broken.push(format!("`{name}` is pure, but links `{found}`"));
            }
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| from == name) else {
            continue;
        };
        for found in own
            .iter()
            .filter(|other| *other != name && linked.contains(other) && !allowed.contains(&other.as_str()))
        {
            broken.push(format!("`{name}` must not depend on `{found}`"));
        }
    }
    if !broken.is_empty() {
        bail!("{} rules are broken:\n  {}", broken.len(), broken.join("\n  "));
    }
    println!("{} crates keep the rules of dependence", own.len());
    Ok(())
}

fn members(root: &Path) -> Result<Vec<String>> {
    let text = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` printed no packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .map(str::to_owned)
        .collect())
}

/// Names of all crates that a member links (normal dependencies, transitively).
fn linked(root: &Path, name: &str) -> Result<Vec<String>> {
    let text = cargo(
        root,
        &[
            "tree",
            "--package",
            name,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    )?;
    let names = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output()?;
    if !output.status.success() {
        bail!(
            "`cargo {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
