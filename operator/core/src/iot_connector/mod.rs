//! An IoTConnector: what is observed, what is decided, what is built, and what its status says.

pub mod children;
pub mod keys;
pub mod mappings;
mod reported;
pub(crate) mod shares;
pub(crate) mod source;
mod status;
mod validate;
mod world;

pub use children::{Children, children};
pub use status::status;
pub use validate::{Decision, ServiceLink, Validated, decide};
pub use world::World;
