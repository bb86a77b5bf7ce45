//! What the end-to-end scenarios share: `kubectl` as people use it, a namespace for each scenario, conditions that are
//! awaited, and a way from the test to a service in the cluster.
//!
//! Everything goes through public interfaces: `kubectl`, the FHIR API, the device endpoint. The cluster comes from
//! `cargo xtask test`, which names it by `KUBECONFIG`.

mod cluster;
mod fhir;
mod forward;
mod resources;

pub use cluster::{Cluster, Namespace, eventually};
pub use fhir::Fhir;
pub use forward::Forward;
pub use resources::{connector, service, tenant};
