//! What the server says about itself (capabilities, versions), and the definitions in force: search parameters, profiles.

mod capabilities;
mod definition;
mod own;
pub mod profiles;
mod smart;
mod supported;
mod terminology;
mod versions;

pub use capabilities::capabilities;
pub use own::{Conformance, SEARCH_PARAMETER};
pub use smart::smart_configuration;
pub use supported::Supported;
pub use versions::versions;
