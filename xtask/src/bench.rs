//! `cargo xtask bench`: builds the programs as they ship and measures them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cluster;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Build profile of the programs: `release` for tables to publish, `quick` while developing
    #[arg(long, default_value = "quick")]
    pub profile: String,
    /// `fhir`, `iot` (`mapping` and `connector`), `growth`, `docs`, and their options; none: `fhir` and `iot`
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
    let (nats_server, kafka) = (cluster::nats_server(root)?, cluster::kafka(root)?);
    cargo_with(
        root,
        &run,
        &[
            ("NATS_SERVER", nats_server.as_os_str()),
            ("KAFKA_JARS", kafka.as_os_str()),
        ],
    )
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    cargo_with(root, arguments, &[])
}

fn cargo_with(root: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).envs(environment.iter().copied());
    let status = command.current_dir(root).status()?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}
