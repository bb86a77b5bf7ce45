//! What the server says about itself: capabilities, versions.

mod capabilities;

pub use capabilities::{capabilities, versions};
