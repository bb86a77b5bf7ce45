//! `bench`: measures what the project promises, in CPU per operation and in counts; wall times on shared machines are
//! noise. Started by `cargo xtask bench`, which builds the programs first.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod connector;
mod documentation;
mod fhir;
mod load;
mod mapping;
mod process;
mod report;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::Report;

/// Measures what the project promises. Without a command: `fhir` and `iot`
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Folder with the built programs
    #[arg(long, global = true, default_value = "target/quick")]
    programs: PathBuf,
    /// Also write the tables to this file
    #[arg(long, global = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// A FHIR server: start-up, memory, every row of the table of numbers to reach, bytes a resource, and what each
    /// operation does
    Fhir(fhir::Options),
    /// What each operation does on databases of several sizes; fails where one grows faster than log n
    Growth(fhir::growth::Options),
    /// Device mapping: messages a second on one core
    Mapping,
    /// Devices, connector and FHIR server together: latency, CPU, memory, and whether everything arrives
    Connector(connector::Options),
    /// `mapping` and `connector`: every row of the connector's numbers to reach
    Iot(connector::Options),
    /// All tables of docs/performance.md, on SQLite and on a PostgreSQL that it starts
    Docs(documentation::Options),
}

// one thread: it takes as little of the machine as it can, and the server finds several requests at a time
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let programs = &arguments.programs;
    let mut report = Report::default();
    let mut grows = Vec::new();
    match arguments.what {
        Some(What::Fhir(options)) => fhir::run(programs, &options, &mut report).await?,
        Some(What::Growth(options)) => grows = fhir::growth::run(programs, &options, &mut report).await?,
        Some(What::Mapping) => mapping::run(&mut report)?,
        Some(What::Connector(options)) => connector::run(programs, &options, &mut report).await?,
        Some(What::Iot(options)) => iot(programs, &options, &mut report).await?,
        Some(What::Docs(options)) => return documentation::write(programs, &options).await,
        None => {
            fhir::run(programs, &fhir::Options::default(), &mut report).await?;
            iot(programs, &connector::Options::default(), &mut report).await?;
        }
    }
    println!("{report}");
    if let Some(path) = arguments.out {
        std::fs::write(&path, report.to_string())?;
        println!("written to {}", path.display());
    }
    fhir::growth::verdict(&grows)
}

async fn iot(programs: &Path, options: &connector::Options, report: &mut Report) -> Result<()> {
    mapping::run(report)?;
    connector::run(programs, options, report).await
}
