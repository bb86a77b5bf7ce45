//! `cargo xtask`: every developer command. Links none of the programs, so that it builds in seconds.

mod bench;
mod cluster;
mod command;
mod generate;
mod image;
mod packages;
mod progress;
mod test;
mod tidy;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Every developer command of fhir-operator
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do the main job: a cluster, the operator, two FHIR services, a connector, device messages, Observations
    Up(up::Options),
    /// Remove what `up` made, and nothing else
    Down(up::DownOptions),
    /// Test everything that must hold, up to scenarios on a real cluster
    Test(test::Options),
    /// Generate CRDs, permissions and definitions, or check that the committed ones are current
    Gen(generate::Options),
    /// Write the image of the programs as an archive
    Image(image::Options),
    /// Measure the programs against the numbers of their design
    Bench(bench::Options),
    /// Prove the rules of dependence
    Tidy,
    /// End the local node as a loss of power would; `up` goes on with its state
    KillNode,
    /// What a local node's first process runs
    #[command(hide = true)]
    NodeInit { plan: PathBuf },
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let root = root()?;
    match command {
        Command::Up(options) => up::up(&root, &options),
        Command::Down(options) => up::down(&root, &options),
        Command::Test(options) => test::run(&root, &options),
        Command::Gen(options) => generate::command(&root, &options),
        Command::Image(options) => image::run(&root, &options),
        Command::Bench(options) => bench::run(&root, &options),
        Command::Tidy => tidy::run(&root),
        Command::KillNode => cluster::kill_node(cluster::Instance::Main),
        Command::NodeInit { plan } => cluster::init(&plan),
    }
}

/// The workspace that this program was built from.
fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest
        .parent()
        .context("xtask is a folder of the workspace")?
        .to_owned())
}

/// Where cargo puts what it builds.
fn target_folder(root: &Path) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(root.join(folder));
    }
    let text = command::output(&mut command::cargo(
        root,
        &["metadata", "--no-deps", "--format-version", "1"],
    ))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("`cargo metadata` names no target folder")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_of_each_command_fit_together() {
        CommandLine::command().debug_assert();
    }
}
