//! From what a device sends to messages for the spool.

pub mod body;
pub mod context;
pub mod keys;
pub mod senders;
pub mod tokens;
