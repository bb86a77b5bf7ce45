//! Real data that lies beside the repository: HL7's own examples and synthetic patients.
//!
//! `SHARED_DATA` names the folder, `../shared` beside the repository is the default. Whoever needs what isn't there says
//! so loudly and does without; under CI that is an error.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A file of real data.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name, without the folder.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// HL7's example resources of a FHIR version (`r4`, `stu3`), by name; `None` where they aren't.
pub fn examples(version: &str) -> Result<Option<Vec<File>>> {
    let Some(folder) = folder(&format!("fhir-examples/{version}"))? else {
        return Ok(None);
    };
    let read = |path: &Path| std::fs::read_to_string(path).map_err(anyhow::Error::from);
    files(&folder, ".json", read).map(Some)
}

/// Synthea's bundles: those that others refer to first; `None` where they aren't.
pub fn synthea() -> Result<Option<Vec<File>>> {
    let Some(folder) = folder("synthea")? else {
        return Ok(None);
    };
    let read = |path: &Path| {
        let mut text = String::new();
        bzip2_rs::DecoderReader::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
        Ok(text)
    };
    // hospitals and practitioners begin with `0-`
    files(&folder, ".json.bz2", read).map(Some)
}

fn files(folder: &Path, ending: &str, read: impl Fn(&Path) -> Result<String>) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(ending) {
            let text = read(&path).with_context(|| format!("reading `{}`", path.display()))?;
            files.push(File {
                name: name.to_owned(),
                text,
            });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn folder(name: &str) -> Result<Option<PathBuf>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("SHARED_DATA")
        .map_or_else(beside, PathBuf::from)
        .join(name);
    if folder.is_dir() {
        return Ok(Some(folder));
    }
    if std::env::var_os("CI").is_some() {
        bail!(
            "`{}` isn't there; set SHARED_DATA to the folder of real data",
            folder.display()
        );
    }
    // a test's own output is shown only where it fails
    writeln!(
        std::io::stderr(),
        "NOT TESTED: `{}` isn't there; set SHARED_DATA to the folder of real data",
        folder.display()
    )?;
    Ok(None)
}
