//! The FHIR server as the pipeline sees it: few requests, and an error that says whether to wait.

mod ask;
mod client;
mod connection;
mod error;
mod flights;

pub use ask::Precondition;
pub use client::{Answer, ClientError, FhirClient};
pub use error::{FhirError, Wait};
pub use flights::ENTRIES;
