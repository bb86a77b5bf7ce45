//! The conformance cases against our own server, for both FHIR versions on both engines.
//!
//! `pending.json` beside the cases lists what doesn't pass yet, with its reason. A case that fails and isn't listed fails
//! the test; so does one that is listed by its id and passes for every version, so that the list only shrinks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fhir_cases::cases::Library;
use fhir_cases::play::{self, Options, Verdict};
use fhir_server_settings::{FhirVersion, Settings};
use serde_json::Value;
use test_postgres::PostgresServer;

/// `FHIR_CASES` names another folder, for which nothing is pending.
fn folder() -> PathBuf {
    let own = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../cases/fhir"));
    std::env::var_os("FHIR_CASES").map_or_else(own, PathBuf::from)
}

/// What is listed as pending: whole areas, single ids, capabilities that the server lacks.
struct Pending {
    areas: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
    capabilities: BTreeSet<String>,
}

impl Pending {
    fn read() -> Self {
        let text = std::fs::read_to_string(folder().join("pending.json")).unwrap_or_else(|_| "{}".to_owned());
        let list: Value = serde_json::from_str(&text).expect("pending.json is JSON");
        let reasons = |name: &str| -> BTreeMap<String, String> {
            let entries = list[name].as_object().into_iter().flatten();
            entries
                .map(|(key, reason)| (key.clone(), reason.as_str().unwrap_or_default().to_owned()))
                .collect()
        };
        Self {
            areas: reasons("areas"),
            ids: reasons("ids"),
            capabilities: reasons("capabilities").into_keys().collect(),
        }
    }

    fn covers(&self, verdict: &Verdict) -> bool {
        self.areas.contains_key(&verdict.area) || self.ids.contains_key(&verdict.id)
    }
}

async fn play_against(version: FhirVersion, database: String, pending: &Pending) -> Vec<Verdict> {
    let engine = database.split(':').next().unwrap_or_default().to_owned();
    let settings = Settings {
        fhir_version: Some(version),
        database,
        listen: "127.0.0.1:0".to_owned(),
        anonymous: true,
        ..Settings::default()
    };
    let running = fhir_server::start(settings).await.expect("the server starts");
    let (base, shutdown) = (format!("http://{}", running.address), running.shutdown());
    let server = tokio::spawn(running.run());
    let library = Library::load(&[folder()]).expect("the cases can be read");
    let options = Options {
        base,
        version: version.name().to_owned(),
        areas: vec![],
        ids: vec![],
        capabilities: BTreeSet::new(),
        without: pending.capabilities.clone(),
        tokens: BTreeMap::new(),
        jobs: 4,
    };
    let (verdicts, skipped) = play::play(&library, &options).await.expect("the cases play");
    let passed = verdicts.iter().filter(|verdict| verdict.passed()).count();
    let exact = verdicts.iter().filter(|verdict| verdict.exact()).count();
    println!(
        "{} on {engine}: {} cases, {passed} pass, {exact} exactly, {skipped} skipped",
        version.name(),
        verdicts.len()
    );
    shutdown.request();
    server.await.expect("no panic").expect("a clean end");
    print_areas(&verdicts);
    verdicts
}

/// The score of each area: passed of all.
fn print_areas(verdicts: &[Verdict]) {
    let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for verdict in verdicts {
        let (passed, all) = areas.entry(&verdict.area).or_default();
        *passed += usize::from(verdict.passed());
        *all += 1;
    }
    let scores = areas
        .iter()
        .map(|(area, (passed, all))| format!("{area} {passed}/{all}"));
    println!("  {}", scores.collect::<Vec<_>>().join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_passes_but_those_listed() {
    daemon::tls::install_provider();
    let pending = Pending::read();
    let mut failed = Vec::new();
    let mut done: BTreeMap<String, bool> = BTreeMap::new();
    let data = tempfile::tempdir().expect("a folder");
    let runs = [FhirVersion::R4, FhirVersion::Stu3].into_iter().flat_map(|version| {
        let file = data.path().join(format!("{}.db", version.name()));
        let sqlite = format!("sqlite:{}", file.display());
        [(version, sqlite), (version, PostgresServer::shared().database())]
    });
    for (version, database) in runs {
        let engine = database.split(':').next().unwrap_or_default().to_owned();
        for verdict in play_against(version, database, &pending).await {
            *done.entry(verdict.id.clone()).or_insert(true) &= verdict.passed();
            if !verdict.passed() && !pending.covers(&verdict) {
                let problems: Vec<_> = verdict
                    .problems
                    .iter()
                    .filter(|p| !p.strict)
                    .map(|p| p.message.as_str())
                    .collect();
                failed.push(format!(
                    "{} on {engine} {}: {}",
                    version.name(),
                    verdict.id,
                    problems.join("; ")
                ));
            }
        }
    }
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
    let listed_but_passing: Vec<_> = pending.ids.keys().filter(|id| done.get(*id) == Some(&true)).collect();
    assert!(
        listed_but_passing.is_empty(),
        "these pass now, take them from pending.json: {listed_but_passing:?}"
    );
}
