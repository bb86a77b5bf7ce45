//! `fhir-cases --base URL --version R4 FOLDER…`: plays cases against any FHIR server and prints a table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use fhir_cases::cases::Library;
use fhir_cases::play::{self, Options, Verdict};

/// Plays FHIR conformance cases against a server
#[derive(Debug, Parser)]
struct Arguments {
    /// Service base of the server, for example `http://127.0.0.1:8080`
    #[arg(long)]
    base: String,
    /// FHIR version that it serves
    #[arg(long, value_parser = ["R4", "STU3"])]
    version: String,
    /// Only areas that begin with this (repeatable)
    #[arg(long = "area")]
    areas: Vec<String>,
    /// Only ids that begin with this (repeatable)
    #[arg(long = "id")]
    ids: Vec<String>,
    /// Capabilities of the set-up that are there, by comma
    #[arg(long, value_delimiter = ',')]
    capabilities: Vec<String>,
    /// Capabilities that the server lacks, by comma: their cases are skipped
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Bearer token as NAME=TOKEN; `default` is sent where a case names none (repeatable)
    #[arg(long = "token")]
    tokens: Vec<String>,
    /// Cases at a time
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Print every failure, texts too
    #[arg(short, long)]
    verbose: bool,
    /// Folders or files with cases
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let library = Library::load(&arguments.paths)?;
    let tokens = arguments
        .tokens
        .iter()
        .filter_map(|t| t.split_once('='))
        .map(|(n, t)| (n.to_owned(), t.to_owned()));
    let options = Options {
        base: arguments.base,
        version: arguments.version,
        areas: arguments.areas,
        ids: arguments.ids,
        capabilities: arguments.capabilities.into_iter().collect(),
        without: arguments.without.into_iter().collect::<BTreeSet<_>>(),
        tokens: tokens.collect::<BTreeMap<_, _>>(),
        jobs: arguments.jobs,
    };
    let (verdicts, skipped) = play::play(&library, &options).await?;
    if arguments.verbose {
        verdicts
            .iter()
            .filter(|verdict| !verdict.exact())
            .for_each(print_problems);
    }
    print_table(&verdicts, skipped, &options.version);
    Ok(if verdicts.iter().all(Verdict::passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print_problems(verdict: &Verdict) {
    println!("{} {}", if verdict.passed() { "text " } else { "FAIL " }, verdict.id);
    for problem in verdict.problems.iter().take(3) {
        println!("      {}", problem.message);
    }
}

fn print_table(verdicts: &[Verdict], skipped: usize, version: &str) {
    let mut areas: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for verdict in verdicts {
        for area in [verdict.area.as_str(), "~ total"] {
            let row = areas.entry(area).or_default();
            row[0] += 1;
            row[1] += usize::from(verdict.passed());
            row[2] += usize::from(verdict.exact());
        }
    }
    println!("{:<24}{:>7}{:>7}{:>7}", "area", "cases", "pass", "exact");
    for (area, [cases, passed, exact]) in areas {
        println!("{area:<24}{cases:>7}{passed:>7}{exact:>7}");
    }
    println!("{version}, {skipped} skipped");
}
