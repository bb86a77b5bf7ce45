//! `bench`: measures what the project promises, in CPU per operation and in counts; wall times on shared machines are
//! noise. Started by `cargo xtask bench`, which builds the programs first.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod fhir;
mod load;
mod mapping;
mod process;
mod report;
mod server;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::Report;

/// Measures what the project promises
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Folder with the built programs
    #[arg(long, global = true, default_value = "target/quick")]
    programs: PathBuf,
    /// Also write the table to this file
    #[arg(long, global = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// A FHIR server: start-up, memory, every row of the table of numbers to reach, bytes a resource
    Fhir(fhir::Options),
    /// Device mapping: messages a second on one core
    Mapping,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut report = Report::default();
    match arguments.what {
        Some(What::Fhir(options)) => fhir::run(&arguments.programs, &options, &mut report).await?,
        Some(What::Mapping) => mapping::run(&mut report)?,
        None => {
            mapping::run(&mut report)?;
            fhir::run(&arguments.programs, &fhir::Options::default(), &mut report).await?;
        }
    }
    println!("{report}");
    if let Some(path) = arguments.out {
        std::fs::write(&path, report.to_string())?;
        println!("written to {}", path.display());
    }
    Ok(())
}
