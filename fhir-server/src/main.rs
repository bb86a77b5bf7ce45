//! Serves the FHIR REST API of one FhirService, R4 or STU3.

use std::process::ExitCode;

fn main() -> ExitCode {
    fhir_server::cli::main()
}
