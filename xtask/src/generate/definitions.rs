//! `cargo xtask gen definitions`: HL7's definitions from Maven Central → `fhir-server/definitions/data`.
//!
//! Maven fetches the packages that `generate/pom.xml` pins, a small Java program prints them as JSON facts, and the
//! modules here make tables of those. It takes a minute and is rarely wanted, so the everyday drift test
//! ([`recorded`]) compares checksums of everything that goes in and comes out.

mod codes;
mod cold;
mod facts;
mod parameters;
mod tables;
mod writer;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

const FOLDER: &str = "fhir-server/definitions";
const RECORD: &str = "fhir-server/definitions/data/checksums.sha256";
/// What the data files depend on, besides the packages.
const INPUTS: &[&str] = &[
    "fhir-server/definitions/generate/Facts.java",
    "fhir-server/definitions/generate/checksums.sha256",
    "fhir-server/definitions/generate/pom.xml",
    "fhir-server/definitions/src/layout.rs",
    "xtask/src/generate/definitions/codes.rs",
    "xtask/src/generate/definitions/cold.rs",
    "xtask/src/generate/definitions/facts.rs",
    "xtask/src/generate/definitions/parameters.rs",
    "xtask/src/generate/definitions/tables.rs",
    "xtask/src/generate/definitions/writer.rs",
];

/// Makes the data files anew; with `check` only compares them with what is committed.
pub fn run(workspace: &Path, check: bool) -> Result<()> {
    let jars = fetch(workspace)?;
    for (argument, file) in [("R4", "r4.bin"), ("STU3", "stu3.bin")] {
        let facts = facts::read(&print_facts(workspace, &jars, argument)?)?;
        let bytes = tables::of(&facts).with_context(|| format!("can't make the tables of {argument}"))?;
        let target = workspace.join(FOLDER).join("data").join(file);
        if check {
            let committed = fs::read(&target).unwrap_or_default();
            ensure!(
                committed == bytes,
                "`{}` is out of date, run `cargo xtask gen definitions`",
                target.display()
            );
        } else {
            fs::create_dir_all(target.parent().unwrap_or(workspace))?;
            fs::write(&target, &bytes).with_context(|| format!("can't write `{}`", target.display()))?;
            println!("{}: {} bytes", target.display(), bytes.len());
        }
    }
    if check {
        recorded(workspace)
    } else {
        Ok(fs::write(workspace.join(RECORD), record(workspace)?)?)
    }
}

/// The everyday drift test: nothing that the data files depend on has changed since they were made.
pub fn recorded(workspace: &Path) -> Result<()> {
    let committed = fs::read_to_string(workspace.join(RECORD)).with_context(|| format!("can't read `{RECORD}`"))?;
    ensure!(
        committed == record(workspace)?,
        "the definitions are out of date, run `cargo xtask gen definitions`"
    );
    Ok(())
}

fn record(workspace: &Path) -> Result<String> {
    let mut lines = String::new();
    for file in INPUTS.iter().copied().chain([
        "fhir-server/definitions/data/r4.bin",
        "fhir-server/definitions/data/stu3.bin",
    ]) {
        let bytes = fs::read(workspace.join(file)).with_context(|| format!("can't read `{file}`"))?;
        writeln!(lines, "{}  {file}", hex(&Sha256::digest(&bytes)))?;
    }
    Ok(lines)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Fetches the pinned packages and proves their checksums.
fn fetch(workspace: &Path) -> Result<PathBuf> {
    let generate = workspace.join(FOLDER).join("generate");
    let jars = workspace.join("target").join("definitions-jars");
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "-Dstyle.color=never", "--file"])
        .arg(generate.join("pom.xml"))
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", jars.display()))
        .status()
        .context("can't run Maven, install `maven` and a JDK 17")?;
    ensure!(
        status.success(),
        "Maven can't fetch the packages of `{FOLDER}/generate/pom.xml`"
    );
    for line in fs::read_to_string(generate.join("checksums.sha256"))?.lines() {
        let (checksum, jar) = line
            .split_once("  ")
            .context("`checksums.sha256` has a line without a file name")?;
        let bytes = fs::read(jars.join(jar)).with_context(|| format!("Maven did not fetch `{jar}`"))?;
        if hex(&Sha256::digest(&bytes)) != checksum {
            bail!("`{jar}` is not the file that `checksums.sha256` names");
        }
    }
    Ok(jars)
}

fn print_facts(workspace: &Path, jars: &Path, version: &str) -> Result<Vec<u8>> {
    let output = Command::new("java")
        .arg("-cp")
        .arg(format!("{}/*", jars.display()))
        .arg(workspace.join(FOLDER).join("generate/Facts.java"))
        .arg(version)
        .output()
        .context("can't run Java, install a JDK 17")?;
    ensure!(
        output.status.success(),
        "Facts.java failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
