//! Turns device messages into FHIR Observations for one IoTConnector

fn main() {}
