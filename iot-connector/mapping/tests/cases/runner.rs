//! Finds the cases, plays them and prints the number passed by kind: for every crate that plays a part of them.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// What a case says: it holds, it doesn't and why, or it isn't played here and why.
pub enum Verdict {
    Passed,
    Failed(String),
    LeftOut(&'static str),
}

/// One fact of a case.
pub type Check = Result<(), String>;

impl From<Check> for Verdict {
    fn from(check: Check) -> Self {
        match check {
            Ok(()) => Self::Passed,
            Err(reason) => Self::Failed(reason),
        }
    }
}

/// Plays every case of `tests/cases/mapping`, or of a folder named in `IOT_CASES`: `play(kind, case)` is asked for a whole
/// case, or for each row of a table.
pub fn run(mut play: impl FnMut(&str, &Value) -> Verdict) {
    let folder = std::env::var_os("IOT_CASES").map_or_else(sample, PathBuf::from);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(!files.is_empty(), "no case in `{}`", folder.display());
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let (mut failures, mut left_out) = (Vec::new(), BTreeMap::<(String, &str), usize>::new());
    for file in files {
        let Ok(case) = serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()) else {
            continue;
        };
        let (Some(id), Some(kind)) = (case["id"].as_str(), case["kind"].as_str()) else {
            continue;
        };
        for (name, part) in parts(id, &case) {
            let row = table.entry(kind.to_owned()).or_default();
            match play(kind, part) {
                Verdict::Passed => row[0] += 1,
                Verdict::Failed(reason) => {
                    row[1] += 1;
                    failures.push(format!("{kind} {name}: {reason}"));
                }
                Verdict::LeftOut(reason) => {
                    row[2] += 1;
                    *left_out.entry((kind.to_owned(), reason)).or_default() += 1;
                }
            }
        }
    }
    // Not by `println!`, whose output a passing test keeps to itself.
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{line}").unwrap();
    say(format!(
        "\n{:<14}{:>8}{:>8}{:>10}",
        "kind", "passed", "failed", "left out"
    ));
    for (kind, [passed, failed, left_out]) in &table {
        say(format!("{kind:<14}{passed:>8}{failed:>8}{left_out:>10}"));
    }
    for ((kind, reason), count) in left_out {
        say(format!("left out: {count} {kind}: {reason}"));
    }
    assert!(
        failures.is_empty(),
        "{} cases fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn sample() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = own.ancestors().map(|above| above.join("tests/cases/mapping"));
    folder.into_iter().find(|folder| folder.is_dir()).unwrap_or_default()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            files.push(entry);
        }
    }
}

/// The rows of a table, or the case itself.
fn parts<'c>(id: &str, case: &'c Value) -> Vec<(String, &'c Value)> {
    let Some(rows) = case["rows"].as_array() else {
        return vec![(id.to_owned(), case)];
    };
    let name = |index: usize, row: &Value| format!("{id}#{}", row["row"].as_u64().unwrap_or(index as u64 + 1));
    rows.iter()
        .enumerate()
        .map(|(index, row)| (name(index, row), row))
        .collect()
}
