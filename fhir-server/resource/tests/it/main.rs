//! What the crate promises, from outside.

mod document;
mod path;
mod stored;
mod validation;
