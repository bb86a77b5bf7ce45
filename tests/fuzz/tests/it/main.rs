//! One target a file. Each is given the cases' input and what becomes of it at random.

mod bodies;
mod documents;
mod mappings;
mod memory;
mod observations;
mod paths;
mod queries;
mod tokens;
