//! A real server on a port of its own, spoken to over HTTP, in both FHIR versions.

mod bundles;
mod life;
mod service;

use service::Service;
