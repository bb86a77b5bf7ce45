//! The command line: `run`, `render`, `crds`, `rbac`, `reference`.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use fhir_operator_api as api;

use crate::kubernetes::kinds::{self, Scope};
use crate::reconcile::render::{self, RenderError};
use crate::run::{self, RunError};
use crate::settings::{Settings, SettingsError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The options can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Logs can't be written.
    #[error("logs can't be started")]
    Logs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operator stopped.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Nothing can be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Something can't be written as YAML.
    #[error("YAML can't be written")]
    Yaml(#[from] serde_yaml::Error),
    /// A file can't be read or written.
    #[error("`{path}` can't be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The command line.
pub fn command() -> Command {
    let settings = Arg::new("settings")
        .long("settings")
        .value_name("FILE")
        .env("FHIR_OPERATOR_SETTINGS")
        .value_parser(value_parser!(PathBuf))
        .help("Options in a file, YAML or JSON; flags and variables win");
    let file = Arg::new("file")
        .short('f')
        .long("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("Custom resources, YAML or JSON, several documents; `-` is standard input");
    let image = Arg::new("image")
        .long("image")
        .value_name("IMAGE")
        .default_value(concat!("fhir-operator.dev/fhir-operator:", env!("CARGO_PKG_VERSION")))
        .help("Image of the servers in what is rendered");
    let directory = Arg::new("directory")
        .long("directory")
        .value_name("DIRECTORY")
        .value_parser(value_parser!(PathBuf))
        .help("Write one file each into this directory, instead of printing");
    Command::new("fhir-operator")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Managed FHIR services and IoT connectors on Kubernetes")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Settings::declared()
                .add_to(Command::new("run").arg(settings))
                .about("Keep what runs equal to the custom resources"),
        )
        .subcommand(
            Command::new("render")
                .about("Print the objects that the operator would apply, as if all were admitted")
                .args([file, image]),
        )
        .subcommand(
            Command::new("crds")
                .about("Print the CustomResourceDefinitions")
                .arg(directory.clone()),
        )
        .subcommand(
            Command::new("rbac")
                .about("Print the operator's permissions")
                .arg(directory.clone())
                .hide(true),
        )
        .subcommand(
            Command::new("reference")
                .about("Print the reference of conditions and reasons")
                .arg(directory)
                .hide(true),
        )
}

/// Does what the arguments say.
pub async fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    let matches = command().get_matches_from(arguments);
    match matches.subcommand() {
        Some(("run", matches)) => operate(matches).await,
        Some(("render", matches)) => print_rendered(matches),
        Some(("crds", matches)) => emit(matches, api::yaml_files()?),
        Some(("rbac", matches)) => emit(matches, permissions()?),
        Some(("reference", matches)) => emit(matches, vec![("conditions.md".to_owned(), api::conditions_reference())]),
        // clap knows no other.
        Some(_) | None => Ok(()),
    }
}

async fn operate(matches: &ArgMatches) -> Result<(), CliError> {
    let file = matches.get_one::<PathBuf>("settings").map(PathBuf::as_path);
    let resolved = Settings::resolve(matches, file)?;
    let log = &resolved.settings.log;
    daemon::logs::init(log).map_err(|error| CliError::Logs(error.into()))?;
    Ok(run::run(resolved.warn_unknown()).await?)
}

fn print_rendered(matches: &ArgMatches) -> Result<(), CliError> {
    let (Some(path), Some(image)) = (matches.get_one::<PathBuf>("file"), matches.get_one::<String>("image")) else {
        return Ok(());
    };
    let objects = render::render(&read(path)?, image)?;
    print(&objects.join("---\n"))
}

fn permissions() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    [
        ("watched", Scope::Watched),
        ("cluster", Scope::Cluster),
        ("own", Scope::Own),
    ]
    .into_iter()
    .map(|(name, scope)| Ok((format!("rules-{name}.yaml"), kinds::rules_yaml(scope)?)))
    .collect()
}

/// Prints files as documents of one stream, or writes them.
fn emit(matches: &ArgMatches, files: Vec<(String, String)>) -> Result<(), CliError> {
    let Some(directory) = matches.get_one::<PathBuf>("directory") else {
        let texts: Vec<String> = files.into_iter().map(|(_, text)| text).collect();
        return print(&texts.join("---\n"));
    };
    for (name, text) in files {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|source| CliError::File { path, source })?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |source| CliError::File {
        path: path.to_owned(),
        source,
    };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// A reader who has seen enough (`| head`) isn't an error.
fn print(text: &str) -> Result<(), CliError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::File {
            path: PathBuf::from("-"),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
