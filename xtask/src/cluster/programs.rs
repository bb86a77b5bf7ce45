//! Programs that are built from the Go modules of `tests`, and the jars of Kafka, once: a program is kept in the user's
//! cache folder under the hash of its module's sources, so that a change builds anew and nothing else does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::command;

/// What a node runs.
#[derive(Debug)]
pub struct Programs {
    /// etcd and all of Kubernetes.
    pub node: PathBuf,
    /// The cluster's DNS.
    pub coredns: PathBuf,
    /// The sandbox of pods, and the client of tests.
    pub tool: PathBuf,
}

/// Finds or builds them. The first build takes about fifteen minutes on two cores.
pub fn programs(root: &Path) -> Result<Programs> {
    Ok(Programs {
        tool: build(root, "tests/cluster/tool", ".")?,
        node: build(root, "tests/cluster/node", ".")?,
        coredns: build(root, "tests/cluster/coredns", ".")?,
    })
}

/// Finds or builds helm.
pub fn helm(root: &Path) -> Result<PathBuf> {
    build(root, "tests/cluster/helm", "helm.sh/helm/v3/cmd/helm")
}

/// Finds or builds the NATS server.
pub fn nats_server(root: &Path) -> Result<PathBuf> {
    build(root, "tests/nats-server", "github.com/nats-io/nats-server/v2")
}

/// Finds or builds the OpenTelemetry Collector.
pub fn otel_collector(root: &Path) -> Result<PathBuf> {
    build(root, "tests/collector/otel-collector", ".")
}

/// Finds or fetches a Kafka broker: the folder of its jars.
pub fn kafka(root: &Path) -> Result<PathBuf> {
    let module = root.join("tests/kafka");
    let folder = cache()?.join(format!("kafka-{}", hash(&module)?));
    if folder.exists() {
        return Ok(folder);
    }
    println!("           fetching kafka (once)");
    let unfinished = folder.with_extension(std::process::id().to_string());
    fs::create_dir_all(&unfinished).with_context(|| format!("can't make `{}`", unfinished.display()))?;
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(&unfinished);
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(module.join("pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(output);
    command::run(&mut maven)?;
    // whoever fetched the same at the same time was first
    if let Err(error) = fs::rename(&unfinished, &folder) {
        fs::remove_dir_all(&unfinished)?;
        if !folder.exists() {
            return Err(error).with_context(|| format!("can't make `{}`", folder.display()));
        }
    }
    Ok(folder)
}

/// A program is named as the folder of its module.
fn build(root: &Path, module: &str, package: &str) -> Result<PathBuf> {
    let (_, name) = module.rsplit_once('/').context("a module has a folder")?;
    let module = root.join(module);
    let folder = cache()?.join(format!("{name}-{}", hash(&module)?));
    let program = folder.join(name);
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    println!("           building {name} (once)");
    // whoever builds the same at the same time renames the same content
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    let flags = format!("-s -w {}", stamp(&module)?);
    let mut go = Command::new("go");
    go.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-tags",
        "netgo osusergo",
        "-ldflags",
    ])
    .args([flags.trim(), "-o"])
    .arg(&unfinished)
    .arg(package)
    .current_dir(&module)
    .env("CGO_ENABLED", "0")
    .env("GOPROXY", proxy()?);
    command::run(&mut go)?;
    fs::rename(&unfinished, &program)?;
    Ok(program)
}

/// The user's module proxies, without the code hosts that `direct` would ask.
fn proxy() -> Result<String> {
    let setting = command::output(Command::new("go").args(["env", "GOPROXY"]))?;
    Ok(setting.trim().trim_end_matches(",direct").to_owned())
}

/// Kubernetes' programs take their version from the linker: `kubectl version` and the kubelet report it.
fn stamp(module: &Path) -> Result<String> {
    let requirements = fs::read_to_string(module.join("go.mod"))?;
    let version = requirements
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"));
    let Some(version) = version.filter(|_| module.ends_with("node")) else {
        return Ok(String::new());
    };
    let minor = version
        .split('.')
        .nth(1)
        .with_context(|| format!("`{version}` isn't a Kubernetes version"))?;
    let packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
    let flags = packages.map(|package| {
        let values = [
            ("gitVersion", format!("v{version}")),
            ("gitMajor", "1".to_owned()),
            ("gitMinor", minor.to_owned()),
            ("gitTreeState", "clean".to_owned()),
        ];
        values
            .map(|(name, value)| format!("-X {package}.{name}={value}"))
            .join(" ")
    });
    Ok(flags.join(" "))
}

/// SHA-256 over names and contents of a module's files, shortened to what tells versions apart.
fn hash(module: &Path) -> Result<String> {
    let entries = fs::read_dir(module).with_context(|| format!("can't read `{}`", module.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    Ok(crate::image::hexadecimal(&hash.finalize()[..6]))
}

fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME isn't set")?).join(".cache"),
    };
    Ok(base.join("fhir-operator/programs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_a_module_is_another_hash() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("go.mod"), "module x").unwrap();
        let before = hash(folder.path()).unwrap();
        assert_eq!(before, hash(folder.path()).unwrap());
        fs::write(folder.path().join("main.go"), "package main").unwrap();
        assert_ne!(before, hash(folder.path()).unwrap());
    }

    #[test]
    fn the_node_reports_the_version_that_its_module_requires() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let stamp = stamp(&root.join("tests/cluster/node")).unwrap();
        assert!(
            stamp.contains("-X k8s.io/client-go/pkg/version.gitVersion=v1."),
            "{stamp}"
        );
    }
}
