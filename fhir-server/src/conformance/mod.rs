//! What the server says about itself (capabilities, versions), and the search parameters in force.

mod capabilities;
mod definition;
mod own;
mod smart;
mod terminology;
mod versions;

pub use capabilities::capabilities;
pub use own::{Conformance, SEARCH_PARAMETER};
pub use smart::smart_configuration;
pub use versions::versions;
