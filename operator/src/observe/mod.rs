//! Reads the world: what the watches tell, and what has to be asked for.

pub mod index;
pub mod issuer;
pub mod pages;
pub mod pods;
pub mod store;
pub mod watching;
