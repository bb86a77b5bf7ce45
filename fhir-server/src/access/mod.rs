//! Token → principal → what it may see and do. Grants come from a file that is read again when it changes.

mod control;
mod principal;
mod scopes;

pub use bearer::Endpoints;
pub use control::{AccessControl, AccessError};
pub use principal::{Action, Identity, Principal};
pub use scopes::Scopes;
