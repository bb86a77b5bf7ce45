//! A FhirService: what is observed, what is decided, what is built, and what its status says.

pub mod children;
mod probe;
mod status;
mod validate;
mod world;

pub use children::{Children, children};
pub use fhir_server_settings::StatusPage;
pub use probe::probe_target;
pub use status::status;
pub(crate) use validate::taken;
pub use validate::{Authentication, Decision, PrivateLink, Validated, decide};
pub use world::{ApplyRefusal, Foreign, PolicyProbe, World};
