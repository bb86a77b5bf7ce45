//! The command line.

use std::{borrow::Cow, error::Error, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use daemon::{
    logs,
    options::{Declared, Resolved},
};
use iot_connector_settings::{ENVIRONMENT_PREFIX, Log, Settings};

use crate::{dead_letter_commands, dry_run, trace_command, unmatched_command};

type Failure = Box<dyn Error>;

/// Parses the arguments of this process and does what they say.
pub fn main() -> ExitCode {
    let declared = declared();
    match command(&declared).get_matches().subcommand() {
        Some(("run", matches)) => run(&declared, matches),
        Some(("dry-run", matches)) => dry_run::command(matches),
        Some(("unmatched", matches)) => daemon::process::run(1, unmatched_command::command(matches)),
        Some(("trace", matches)) => daemon::process::run(1, trace_command::command(matches)),
        Some(("dead-letters", matches)) => daemon::process::run(1, dead_letter_commands::command(matches)),
        // `subcommand_required` leaves no other case.
        _ => ExitCode::FAILURE,
    }
}

/// Every option of `run`, from the settings' schema.
pub fn declared() -> Declared {
    let schema = schemars::schema_for!(Settings);
    Declared::from_schema(ENVIRONMENT_PREFIX, schema.as_value())
}

/// The whole command line.
pub fn command(declared: &Declared) -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let run = Command::new("run")
        .about("Receives device messages and writes Observations")
        .long_about("Receives device messages and writes Observations.\n\nOptions come from flags, the environment and the settings file, in this order.")
        .arg(path("settings", "Settings file (YAML or JSON)"));
    Command::new("iot-connector")
        .about("Turns device messages into FHIR Observations")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(declared.add_to(run))
        .subcommand(
            Command::new("dry-run")
                .about("Shows what mappings make of messages; exit code 1 on errors")
                .arg(path("device-mapping", "Device mapping (CollectionContent)").required(true))
                .arg(path("fhir-mapping", "FHIR mapping (CollectionFhir)").required(true))
                .arg(path(
                    "messages",
                    "Device messages: JSON, an array, or one on each line; `-` is standard input",
                ))
                .arg(
                    Arg::new("compatibility")
                        .long("compatibility")
                        .value_parser(["standard", "upstream"])
                        .default_value("standard")
                        .help("Whose decisions hold"),
                )
                .arg(
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Print JSON"),
                ),
        )
        .subcommand(dead_letter_commands::declare())
        .subcommand(trace_command::declare())
        .subcommand(unmatched_command::declare())
}

fn run(declared: &Declared, matches: &ArgMatches) -> ExitCode {
    let resolved: Result<Resolved<Settings>, _> =
        declared.resolve(matches, matches.get_one::<PathBuf>("settings").map(PathBuf::as_path));
    let start = async move {
        let resolved = resolved?;
        let log = &resolved.settings.log;
        logs::init(&Log {
            level: directives(&log.level).into_owned(),
            format: log.format,
        })?;
        daemon::tls::install_provider();
        crate::start(resolved.warn_unknown()).await?.run().await?;
        Ok::<(), Failure>(())
    };
    daemon::process::run(daemon::process::processors(), start)
}

/// The Kafka client tells of each partition at `info`: four lines each, whenever it connects. Who asks for directives of
/// their own gets those.
fn directives(level: &str) -> Cow<'_, str> {
    if level.eq_ignore_ascii_case("info") {
        format!("{level},rskafka=warn").into()
    } else {
        level.into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("info", "info,rskafka=warn")]
    #[case("debug", "debug")]
    #[case("info,rskafka=info", "info,rskafka=info")]
    fn the_kafka_client_is_quiet_by_default(#[case] level: &str, #[case] expected: &str) {
        assert_eq!(directives(level), expected);
    }
}
