//! Plays language-neutral FHIR REST cases against any server.
//!
//! A case is data: requests with variables, and what their answers must be. The format is described in
//! `tests/cases/fhir/README.md`. Cases make their own data and never depend on each other, so they run in parallel,
//! but for those marked `serial` (they change what the whole server does), which run last, one by one.

pub mod cases;
mod checks;
mod client;
mod expect;
mod path;
pub mod play;
mod scope;
pub mod shared;
