//! The command line.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};
use daemon::logs;
use daemon::options::Declared;
use fhir_resource::stored;
use fhir_search::Extractor;
use fhir_server_settings::{ENVIRONMENT_PREFIX, FhirVersion, Settings};
use fhir_storage::{Database, Store};

use crate::conformance::Conformance;

type Failure = Box<dyn Error>;

/// What to do with a password.
const PASSWORD: &str = "`--database` has a password, which everybody on the machine can read in the list of processes; leave it \
    out and set PGPASSWORD or PGPASSFILE, or give the whole URL by FHIR_SERVER_DATABASE or a file (`--database-file`)";

/// Parses the arguments of this process and does what they say.
pub fn main() -> ExitCode {
    let declared = declared();
    match command(&declared).get_matches().subcommand() {
        Some(("serve", matches)) => serve(&declared, matches),
        Some(("check", matches)) => daemon::process::run(1, check(matches.clone())),
        // `subcommand_required` leaves no other case.
        _ => ExitCode::FAILURE,
    }
}

/// Every option of `serve`, from the settings' schema.
pub fn declared() -> Declared {
    let schema = schemars::schema_for!(Settings);
    Declared::from_schema(ENVIRONMENT_PREFIX, schema.as_value())
}

/// The whole command line.
pub fn command(declared: &Declared) -> Command {
    let settings = Arg::new("settings")
        .long("settings")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf));
    let serve = Command::new("serve")
        .about("Serves the FHIR REST API")
        .long_about(
            "Serves the FHIR REST API.\n\nOptions come from flags, the environment and the settings file, in this order.",
        )
        .after_help("Example: fhir-server serve --fhir-version R4 --database sqlite:clinic.db --anonymous")
        .arg(settings.help("Settings file (YAML or JSON)"));
    let check = Command::new("check")
        .about("Proves that a database's resources, index, history and clock agree")
        .arg(
            Arg::new("fhir-version")
                .long("fhir-version")
                .required(true)
                .value_name("VERSION")
                .help("R4 or STU3"),
        )
        .arg(
            Arg::new("database")
                .long("database")
                .required(true)
                .value_name("URL")
                .env("FHIR_SERVER_DATABASE")
                .hide_env_values(true)
                .help("sqlite:PATH, or postgres://USER@HOST/NAME"),
        )
        .arg(
            Arg::new("base-url")
                .long("base-url")
                .value_name("URL")
                .help("The base URL that the service was reached by, if references are written with it"),
        );
    Command::new("fhir-server")
        .about("Serves the FHIR REST API of one FHIR service, R4 or STU3")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(declared.add_to(serve))
        .subcommand(check)
}

fn serve(declared: &Declared, matches: &ArgMatches) -> ExitCode {
    let file = matches.get_one::<PathBuf>("settings").map(PathBuf::as_path);
    let resolved = declared.resolve::<Settings>(matches, file);
    let is_open = shows_password(matches);
    let start = async move {
        if is_open {
            return Err(PASSWORD.into());
        }
        let resolved = resolved?;
        logs::init(&resolved.settings.log)?;
        daemon::tls::install_provider();
        crate::start(resolved.warn_unknown()).await?.run().await?;
        Ok::<(), Failure>(())
    };
    daemon::process::run(daemon::process::processors(), start)
}

/// Whether a flag has the password of the database.
fn shows_password(matches: &ArgMatches) -> bool {
    let is_flag = matches.value_source("database") == Some(ValueSource::CommandLine);
    is_flag
        && matches
            .get_one::<String>("database")
            .is_some_and(|url| has_password(url))
}

fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = address.rsplit_once('@').map_or("", |(user, _)| user);
    let in_query = query
        .split('&')
        .any(|pair| pair.starts_with("password=") && pair != "password=");
    in_query || user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

async fn check(matches: ArgMatches) -> Result<(), Failure> {
    if shows_password(&matches) {
        return Err(PASSWORD.into());
    }
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let version: fhir_definitions::FhirVersion = text("fhir-version").parse()?;
    let settings = Settings {
        fhir_version: Some(match version {
            fhir_definitions::FhirVersion::R4 => FhirVersion::R4,
            fhir_definitions::FhirVersion::Stu3 => FhirVersion::Stu3,
        }),
        database: text("database").to_owned(),
        ..Settings::default()
    };
    let options = crate::serve::store_options(&settings)?;
    if let Database::Sqlite(path) = &options.database
        && !path.exists()
    {
        return Err(format!("there is no database `{}`", path.display()).into());
    }
    daemon::tls::install_provider();
    let store = Store::open(&options).await?;
    let conformance = Conformance::load(version, &store, Duration::ZERO).await?;
    let extractor = Extractor::following(conformance.in_force(), vec![text("base-url").to_owned()]);
    let extract = move |name: &str, body: &[u8]| {
        let of = version.definitions().resource_type(name)?;
        let document = stored::parse(body).ok()?;
        Some(extractor.keys(of, document.root()))
    };
    let report = store.check(Arc::new(extract)).await?;
    store.close().await;
    println!(
        "{} resources, {} superseded versions",
        report.resources, report.superseded
    );
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the database does not agree with itself: {}",
        report.problems.join("; ")
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_noticed() {
        for (url, expected) in [
            ("postgres://fhir:secret@db/clinic", true),
            ("postgres://fhir@db/clinic?sslmode=require&password=secret", true),
            ("postgres://fhir:@db/clinic", false),
            ("postgres://fhir@db:5432/clinic?sslmode=require", false),
            ("sqlite:a:b@c.db", false),
        ] {
            assert_eq!(has_password(url), expected, "{url}");
        }
        let matches = |args: &[&str]| command(&declared()).try_get_matches_from(args).unwrap();
        let asked = matches(&[
            "fhir-server",
            "check",
            "--fhir-version",
            "R4",
            "--database",
            "postgres://a:b@c/d",
        ]);
        assert!(shows_password(asked.subcommand().unwrap().1));
        let asked = matches(&["fhir-server", "serve", "--database", "postgres://a:b@c/d"]);
        assert!(shows_password(asked.subcommand().unwrap().1));
    }
}
