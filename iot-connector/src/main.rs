//! Turns device messages into FHIR Observations for one IoTConnector.

use std::process::ExitCode;

fn main() -> ExitCode {
    iot_connector::cli::main()
}
