//! What the crate promises, from outside.

mod document;
mod examples;
mod fhirpath;
mod generated;
mod patch;
mod path;
mod profiles;
mod specification;
mod stored;
mod validation;
mod xml;
mod xml_round_trips;
