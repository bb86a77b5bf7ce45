//! Keeps what runs equal to the custom resources, and refuses what the limits forbid: the shell around
//! `fhir-operator-core`, all its I/O.

pub mod admission;
pub mod certificates;
pub mod cli;
pub mod kubernetes;
pub mod observe;
pub mod reconcile;
pub mod run;
pub mod settings;
