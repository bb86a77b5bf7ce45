//! What the server says about itself: capabilities, versions.

mod capabilities;
mod versions;

pub use capabilities::capabilities;
pub use versions::versions;
