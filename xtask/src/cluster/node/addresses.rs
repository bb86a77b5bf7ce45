//! Names and addresses of one local cluster: two of them run side by side, so nothing may be the same for both.

use std::path::{Path, PathBuf};

use crate::cluster::Instance;

/// Where the state of all local clusters is.
pub const STATE: &str = "/var/lib/fhir-operator";
/// The node's name in the cluster.
pub const NODE: &str = "node-1";

impl Instance {
    /// Tells the address ranges apart.
    fn index(self) -> u8 {
        match self {
            Self::Main => 0,
            Self::Test => 1,
        }
    }

    /// The folder with everything that this cluster keeps.
    pub fn state(self) -> PathBuf {
        Path::new(STATE).join(self.name())
    }

    /// The control group above all pods; the bridge and the pair of interfaces (at most 15 characters).
    pub fn cgroup(self) -> &'static str {
        self.name()
    }

    /// The bridge that the node hangs on.
    pub fn bridge(self) -> String {
        format!("fhir-bridge{}", self.index())
    }

    /// The host's end of the node's interface.
    pub fn interface(self) -> String {
        format!("fhir-node{}", self.index())
    }

    /// The host's address on the bridge.
    pub fn host_address(self) -> String {
        format!("10.200.{}.1", self.index())
    }

    /// The node's address; its API server listens on port 6443.
    pub fn node_address(self) -> String {
        format!("10.200.{}.2", self.index())
    }

    /// Addresses of pods.
    pub fn pods(self) -> String {
        format!("10.201.{}.0/24", self.index())
    }

    /// Addresses of Services.
    pub fn services(self) -> String {
        format!("10.202.{}.0/22", 4 * self.index())
    }

    /// The Service `kubernetes`: the first of the range.
    pub fn api_service(self) -> String {
        format!("10.202.{}.1", 4 * self.index())
    }

    /// The Service `kube-dns`.
    pub fn dns_service(self) -> String {
        format!("10.202.{}.10", 4 * self.index())
    }
}
