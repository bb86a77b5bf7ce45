//! Everything that is said to the API server.

pub mod apply;
pub mod backoff;
pub mod covers;
pub mod definitions;
pub mod events;
pub mod kinds;
pub mod lease;
pub mod prune;
pub mod status;
pub mod stored;
pub mod watches;
