//! One file a `$operation`; `http/operation.rs` says which there are.

mod asked;
pub mod expand;
pub mod last_n;
pub mod lookup;
pub mod meta;
mod parameters;
pub mod purge_history;
pub mod reindex;
pub mod subsumes;
pub mod translate;
pub mod validate;
pub mod validate_code;
