//! Serves the FHIR REST API of one FhirService, R4 or STU3.

mod access;
mod audit;
pub mod cli;
mod conformance;
mod http;
mod interactions;
mod jobs;
mod metrics;
mod operations;
mod serve;
mod server;
mod terminology;
mod writes;

pub use serve::{Running, StartError, start};
