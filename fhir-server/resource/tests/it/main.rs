//! What the crate promises, from outside.

mod document;
mod patch;
mod path;
mod stored;
mod validation;
