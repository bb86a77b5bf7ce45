//! What queries become and what they are refused for; what resources are found by.

mod extract;
mod parameters;
mod parse;
mod terms;
