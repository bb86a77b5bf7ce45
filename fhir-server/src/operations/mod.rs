//! One file a `$operation`; `http/operation.rs` says which there are.

mod asked;
pub mod expand;
pub mod lookup;
mod parameters;
pub mod subsumes;
pub mod translate;
pub mod validate;
pub mod validate_code;
