//! `fhir-operator`: run the operator, or print what it would apply.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::tls::install_provider();
    // Mostly waiting: two threads answer admission while one reconciles.
    daemon::process::run(2, fhir_operator::cli::run(std::env::args_os()))
}
