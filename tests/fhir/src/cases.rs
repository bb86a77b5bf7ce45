//! The case files: what is in a folder, and which of it concerns this run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// Capabilities that need a set-up of their own; a case that requires one runs only when it is named as present.
pub const SETUP_CAPABILITIES: &[&str] = &[
    "auth",
    "smart",
    "import-storage",
    "convert-data",
    "proxy-headers",
    "purge-history",
    "docref",
    "bulk-update",
    "isolated-db",
    "profile-us-core",
    "ms-limitation",
];

/// One case, its steps still raw.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique name, `area.what`.
    pub id: String,
    /// The part of the contract it belongs to.
    pub area: String,
    /// `paas`, `oss` or `beyond`: who asserts the behaviour.
    pub class: String,
    /// Capabilities that the server must have.
    pub requires: BTreeSet<String>,
    /// Fixtures that it reads.
    pub uses: Vec<String>,
    /// Must not run beside others.
    pub serial: bool,
    /// Raw steps.
    pub steps: Vec<Value>,
    versions: Option<BTreeSet<String>>,
}

impl Case {
    /// `None` where the value isn't a case (other JSON files may lie in the folder).
    fn from_value(value: &Value) -> Option<Self> {
        let texts = |name: &str| value.get(name).and_then(Value::as_array).map(|list| strings(list));
        Some(Self {
            id: value.get("id")?.as_str()?.to_owned(),
            area: value.get("area")?.as_str()?.to_owned(),
            class: value.get("class").and_then(Value::as_str).unwrap_or("paas").to_owned(),
            requires: texts("requires").unwrap_or_default().into_iter().collect(),
            uses: texts("use").unwrap_or_default(),
            serial: value.get("serial").and_then(Value::as_bool).unwrap_or(false),
            steps: value.get("steps")?.as_array()?.clone(),
            versions: texts("versions").map(|list| list.into_iter().collect()),
        })
    }

    /// Whether the case speaks of this FHIR version.
    pub fn concerns(&self, version: &str) -> bool {
        self.versions.as_ref().is_none_or(|versions| versions.contains(version))
    }

    /// Whether everything that it requires is there.
    pub fn possible(&self, present: &BTreeSet<String>, absent: &BTreeSet<String>) -> bool {
        self.requires.is_disjoint(absent)
            && self
                .requires
                .iter()
                .all(|c| !SETUP_CAPABILITIES.contains(&c.as_str()) || present.contains(c))
    }
}

/// Everything that was read from the folders given.
#[derive(Debug, Default)]
pub struct Library {
    /// Each id once, in the order of the files.
    pub cases: Vec<Case>,
    /// Named data sets: `{use, steps}`.
    pub fixtures: BTreeMap<String, Value>,
    data: Vec<PathBuf>,
}

impl Library {
    /// Reads every case, fixture and data folder below these folders or files.
    pub fn load(paths: &[PathBuf]) -> Result<Self> {
        let mut library = Self::default();
        let mut seen = BTreeSet::new();
        for path in paths {
            library.read(path, &mut seen)?;
        }
        Ok(library)
    }

    fn read(&mut self, path: &Path, seen: &mut BTreeSet<String>) -> Result<()> {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name == "data") {
                self.data.push(path.to_owned());
                return Ok(());
            }
            let mut entries = std::fs::read_dir(path)?
                .map(|entry| entry.map(|e| e.path()))
                .collect::<Result<Vec<_>, _>>()?;
            entries.sort();
            return entries.iter().try_for_each(|entry| self.read(entry, seen));
        }
        if path.extension().is_none_or(|extension| extension != "json") {
            return Ok(());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("reading `{}`", path.display()))?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("reading `{}`", path.display()))?;
        match value {
            Value::Object(fixtures) if path.file_name().is_some_and(|name| name == "fixtures.json") => {
                self.fixtures.extend(fixtures);
            }
            Value::Array(list) => list.iter().for_each(|value| self.add(value, seen)),
            other => self.add(&other, seen),
        }
        Ok(())
    }

    fn add(&mut self, value: &Value, seen: &mut BTreeSet<String>) {
        if let Some(case) = Case::from_value(value)
            && seen.insert(case.id.clone())
        {
            self.cases.push(case);
        }
    }

    /// The text of a data file, the one of this FHIR version first.
    pub fn data_file(&self, version: &str, name: &str) -> Result<String> {
        self.data
            .iter()
            .flat_map(|folder| [folder.join(version).join(name), folder.join(name)])
            .find_map(|path| std::fs::read_to_string(path).ok())
            .with_context(|| format!("no data file `{name}` beside the cases"))
    }
}

fn strings(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
