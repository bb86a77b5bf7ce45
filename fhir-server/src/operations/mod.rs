//! One file a `$operation`; `http/operation.rs` says which there are.

mod asked;
pub mod expand;
pub mod last_n;
pub mod lookup;
pub mod meta;
pub mod meta_in_use;
mod parameters;
pub mod purge_history;
pub mod reindex;
pub mod search_parameter_status;
pub mod subsumes;
pub mod translate;
pub mod validate;
pub mod validate_code;
