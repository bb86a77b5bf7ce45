//! The FHIR server as the pipeline sees it: few requests, and an error that says whether to wait.

mod client;
mod error;

pub use client::{Answer, ClientError, FhirClient, Precondition};
pub use error::{FhirError, Wait};
