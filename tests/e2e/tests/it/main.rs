//! The end-to-end scenarios. Each has a namespace of its own; those that touch the operator itself take turns.

mod access;
mod durability;
mod lifecycle;
mod main_job;
mod places;
mod private_link;
mod source;
mod upgrade;
mod webhook;

use tokio::sync::RwLock;

/// Scenarios read-lock it; one that stops the operator or its webhook write-locks it.
pub static OPERATOR: RwLock<()> = RwLock::const_new(());
