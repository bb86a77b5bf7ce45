//! The tests that repeat themselves at random, at full length: one after the other, each for a bounded time.

use std::fmt;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::Run;

/// What to run at full length.
#[derive(Debug, Clone, clap::Args)]
pub struct Length {
    /// Also run the tests that repeat themselves (properties, hostile input, crashes) at full length, each for
    /// `--minutes` at most
    #[arg(long)]
    pub long: bool,
    /// Only those
    #[arg(long, conflicts_with_all = ["no_cluster", "only_cluster"])]
    pub only_long: bool,
    /// Of those the ones of this database, and those that are about none
    #[arg(long)]
    engine: Option<Engine>,
    /// What each of those takes at most
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

/// Which database a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// SQLite
    Sqlite,
    /// PostgreSQL
    Postgres,
}

/// A test that repeats itself until its time is over.
struct Long {
    package: &'static str,
    name: &'static str,
    /// `None`: it is about none, or about both.
    engine: Option<Engine>,
}

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.name)
    }
}

const fn long(package: &'static str, name: &'static str) -> Long {
    Long {
        package,
        name,
        engine: None,
    }
}

const fn on(engine: Engine, package: &'static str, name: &'static str) -> Long {
    Long {
        engine: Some(engine),
        ..long(package, name)
    }
}

const TESTS: &[Long] = &[
    on(
        Engine::Sqlite,
        "fhir-server",
        "crash::a_server_killed_under_load_keeps_what_it_acknowledged",
    ),
    on(
        Engine::Postgres,
        "fhir-server",
        "crash::on_postgresql_too_even_if_that_is_killed",
    ),
    long("fhir-server", "invisible::no_answer_depends_on_what_is_not_seen"),
    long("fhir-storage", "reference::searches_agree_with_the_resources"),
    long(
        "fhir-cases",
        "synthea::bundles_load_with_exact_totals_and_resolved_references",
    ),
    long(
        "account",
        "kills::every_message_and_reading_is_in_one_place_whatever_is_killed",
    ),
    long("fuzz", "documents::json"),
    long("fuzz", "documents::xml"),
    long("fuzz", "documents::patches"),
    long("fuzz", "paths::fhirpath"),
    long("fuzz", "queries::queries_become_plans_that_run"),
    long("fuzz", "queries::places_of_pages"),
    long("fuzz", "mappings::messages"),
    long("fuzz", "mappings::device_templates"),
    long("fuzz", "mappings::fhir_templates"),
    long("fuzz", "mappings::expressions"),
    long("fuzz", "tokens::no_token_but_a_good_one_gets_in"),
];

/// Runs them, however many fail.
pub fn run(run: &mut Run<'_>, options: &Length) -> Result<()> {
    let Length { engine, minutes, .. } = *options;
    let wanted = |test: &&Long| engine.is_none() || test.engine.is_none() || test.engine == engine;
    let tests: Vec<&Long> = TESTS.iter().filter(wanted).collect();
    let number = tests.len();
    let most = minutes * number as u64;
    println!("{number} tests, at most {minutes} minutes each and {most} together, and what building them takes");
    let environment = [
        ("LONG_TESTS".to_owned(), "1".into()),
        ("LONG_MINUTES".to_owned(), minutes.to_string().into()),
    ];
    let mut failed = Vec::new();
    for (index, test) in tests.into_iter().enumerate() {
        println!("\n-- {} of {number}: {test}", index + 1);
        let passed = run.totals.passed;
        let arguments = ["test", "-p", test.package, "--test", "it", "--", "--exact", test.name];
        match run.cargo_test(&arguments, &environment) {
            Ok(()) if run.totals.passed > passed => {}
            Ok(()) => failed.push(format!("{test}: there is no such test")),
            Err(error) => failed.push(format!("{test}: {error:#}")),
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}
