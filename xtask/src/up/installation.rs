//! Both charts in a cluster, and the mark that says that they are ours to remove.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cluster::Access;
use crate::command;
use crate::image::Image;

/// Namespace and name of the release.
pub const OPERATOR: &str = "fhir-operator";
const DEFINITIONS: &str = "fhir-operator-crds";
/// Marks the namespace as made by `up`.
const MARK: &str = "fhir-operator.dev/made-by=xtask";

/// Installs or upgrades both charts with this image, and waits until the operator is ready. A cluster where somebody
/// else has installed the operator is left alone.
pub fn install(root: &Path, access: &Access, helm: &Path, image: &Image) -> Result<()> {
    if !is_ours(access)? {
        if is_somebodys(access)? {
            bail!("fhir-operator is installed in this cluster already, and not by `cargo xtask up`: it is left alone");
        }
        if access
            .ask(&["get", "namespace", OPERATOR, "--ignore-not-found", "-o", "name"])?
            .is_empty()
        {
            access.ask(&["create", "namespace", OPERATOR])?;
        }
        access.ask(&[
            "label",
            "namespace",
            OPERATOR,
            MARK,
            "pod-security.kubernetes.io/enforce=restricted",
        ])?;
    }
    let charts = root.join("charts");
    let chart = |name: &str| charts.join(name).display().to_string();
    upgrade(access, helm, DEFINITIONS, &chart(DEFINITIONS), &[])?;
    let Some((repository, tag)) = image.reference.rsplit_once(':') else {
        bail!("image `{}` has no tag", image.reference)
    };
    let values = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        // the same tag may be another image than the last time
        format!("podAnnotations.fhir-operator\\.dev/image={}", image.digest),
    ];
    upgrade(access, helm, OPERATOR, &chart(OPERATOR), &values)
}

fn upgrade(access: &Access, helm: &Path, release: &str, chart: &str, values: &[String]) -> Result<()> {
    let mut arguments = vec![
        "upgrade",
        "--install",
        release,
        chart,
        "--namespace",
        OPERATOR,
        "--wait",
        "--timeout",
        "3m",
    ];
    arguments.extend(values.iter().flat_map(|value| ["--set-string", value]));
    command::output(&mut access.helm(helm, &arguments)).map(|_| ())
}

/// Removes both charts with the custom resource definitions, which a chart keeps, if they are ours.
pub fn remove(access: &Access, helm: &Path) -> Result<()> {
    if !is_ours(access)? {
        bail!("fhir-operator in this cluster wasn't installed by `cargo xtask up`: it is left alone");
    }
    for release in [OPERATOR, DEFINITIONS] {
        let arguments = [
            "uninstall",
            release,
            "--namespace",
            OPERATOR,
            "--ignore-not-found",
            "--wait",
        ];
        command::output(&mut access.helm(helm, &arguments))?;
    }
    let definitions = definitions(access)?;
    let definitions: Vec<&str> = definitions.lines().collect();
    if !definitions.is_empty() {
        access.ask(&[&["delete"], &definitions[..]].concat())?;
    }
    access.ask(&["delete", "namespace", OPERATOR]).map(|_| ())
}

fn is_ours(access: &Access) -> Result<bool> {
    Ok(access
        .ask(&["get", "namespaces", "-l", MARK, "-o", "name"])?
        .lines()
        .any(|name| name == "namespace/fhir-operator"))
}

fn is_somebodys(access: &Access) -> Result<bool> {
    Ok(!definitions(access)?.is_empty())
}

/// Names of our custom resource definitions in the cluster, a line each.
fn definitions(access: &Access) -> Result<String> {
    let all = access.ask(&["get", "customresourcedefinitions", "-o", "name"])?;
    Ok(all
        .lines()
        .filter(|name| name.ends_with(".fhir-operator.dev"))
        .collect::<Vec<_>>()
        .join("\n"))
}
