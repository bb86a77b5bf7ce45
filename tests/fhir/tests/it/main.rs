//! Cases and real data against our own server, for both FHIR versions.

mod cases;
mod examples;
mod server;
mod synthea;
mod values;
