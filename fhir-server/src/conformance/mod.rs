//! What the server says about itself: capabilities, versions.

mod capabilities;
mod terminology;
mod versions;

pub use capabilities::capabilities;
pub use versions::versions;
