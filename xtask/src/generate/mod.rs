//! `cargo xtask gen`: what is generated and committed, and the test that it hasn't drifted.

mod definitions;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command;

/// What to generate.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Change nothing; fail if something is out of date
    #[arg(long)]
    pub check: bool,
    /// Absent: all but the definitions, which need Java, Maven and a minute
    #[command(subcommand)]
    pub what: Option<What>,
}

/// One group of generated files.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub enum What {
    /// The tables of FHIR R4 and STU3, from HL7's packages on Maven Central
    Definitions,
    /// The custom resource definitions, in `crds` and in their chart, the operator's permissions, the reference of conditions and options
    Crds,
}

/// What programs of ours write into which folders.
const OUTPUTS: &[Output] = &[
    Output {
        name: "crds",
        programs: &[&["fhir-operator", "--", "crds"]],
        folders: &["crds", "charts/fhir-operator-crds/files"],
    },
    Output {
        name: "rbac",
        programs: &[&["fhir-operator", "--", "rbac"]],
        folders: &["charts/fhir-operator/files"],
    },
    Output {
        name: "reference",
        programs: &[&["fhir-operator", "--", "reference"], &["option-reference", "--"]],
        folders: &["docs/reference"],
    },
];

/// Files that belong together.
struct Output {
    name: &'static str,
    /// What `cargo run --package` is given; each program adds its files.
    programs: &'static [&'static [&'static str]],
    folders: &'static [&'static str],
}

/// `cargo xtask gen`.
pub fn command(root: &Path, options: &Options) -> Result<()> {
    match options.what {
        None => run(root, options.check),
        Some(What::Definitions) => definitions::run(root, options.check),
        Some(What::Crds) => outputs(root, options.check),
    }
}

/// Generates everything but the definitions; with `check` compares all of it with what is committed, offline.
pub fn run(root: &Path, check: bool) -> Result<()> {
    if check {
        definitions::recorded(root)?;
    }
    outputs(root, check)
}

fn outputs(root: &Path, check: bool) -> Result<()> {
    let scratch = crate::target_folder(root)?.join("generated");
    for output in OUTPUTS {
        let fresh = scratch.join(output.name);
        if fresh.exists() {
            fs::remove_dir_all(&fresh)?;
        }
        fs::create_dir_all(&fresh)?;
        let directory = fresh.to_str().context("the target folder's path isn't text")?;
        for program in output.programs {
            let mut arguments = vec!["run", "--quiet", "--package"];
            arguments.extend(*program);
            arguments.extend(["--directory", directory]);
            command::run(&mut command::cargo(root, &arguments))?;
        }
        let fresh = files(&fresh)?;
        for folder in output.folders {
            settle(&root.join(folder), &fresh, check)?;
        }
    }
    Ok(())
}

/// Makes `folder` hold these files and no other; with `check` fails where it doesn't.
fn settle(folder: &Path, fresh: &BTreeMap<String, Vec<u8>>, check: bool) -> Result<()> {
    let committed = if folder.exists() {
        files(folder)?
    } else {
        BTreeMap::new()
    };
    if committed == *fresh {
        return Ok(());
    }
    if check {
        bail!("`{}` is out of date, run `cargo xtask gen`", folder.display());
    }
    fs::create_dir_all(folder)?;
    for stale in committed.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(folder.join(stale))?;
    }
    for (name, content) in fresh {
        fs::write(folder.join(name), content)?;
    }
    println!("{}: {} files", folder.display(), fresh.len());
    Ok(())
}

fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read `{}`", folder.display()))?;
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((
                entry.file_name().to_string_lossy().into_owned(),
                fs::read(entry.path())?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_names_the_folder_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.yaml"), "old").unwrap();
        let fresh = BTreeMap::from([("new.yaml".to_owned(), b"new".to_vec())]);
        let error = settle(folder.path(), &fresh, true).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()));
        assert!(folder.path().join("old.yaml").exists());
    }

    #[test]
    fn generating_removes_what_is_no_longer_generated() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.yaml"), "old").unwrap();
        let fresh = BTreeMap::from([("new.yaml".to_owned(), b"new".to_vec())]);
        settle(folder.path(), &fresh, false).unwrap();
        assert_eq!(files(folder.path()).unwrap(), fresh);
        settle(folder.path(), &fresh, true).unwrap();
    }
}
