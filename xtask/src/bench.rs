//! `cargo xtask bench`: builds the programs as they ship and measures them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Build profile of the programs: `release` for tables to publish, `quick` while developing
    #[arg(long, default_value = "quick")]
    pub profile: String,
    /// `fhir`, `mapping` and their options; none: all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// Builds and runs the `bench` crate.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let Options { profile, arguments } = options;
    let asks_for_help = arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h");
    if !asks_for_help {
        cargo(root, &["build", "--workspace", "--bins", "--profile", profile])?;
    }
    let programs = crate::target_folder(root)?.join(profile);
    let programs = programs.to_string_lossy();
    let mut run = vec![
        "run",
        "--quiet",
        "--profile",
        profile,
        "-p",
        "bench",
        "--",
        "--programs",
        &programs,
    ];
    run.extend(arguments.iter().map(String::as_str));
    cargo(root, &run)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(arguments).current_dir(root).status()?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}
