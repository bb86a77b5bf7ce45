//! A Kubernetes cluster to run on: one that is there (a context), kind where Docker answers, or the local node.
//!
//! All give the same: a way in for `kubectl` and `helm`, images put where pods find them, and an end that leaves
//! nothing behind.

mod context;
mod kind;
mod node;
mod programs;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::image::Image;
use crate::progress::Progress;
use crate::{command, packages};

pub use node::{init, kill_node};
pub use programs::{helm, kafka, nats_server, otel_collector};

/// The clusters that may run side by side on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// What `cargo xtask up` starts and `cargo xtask down` ends.
    Main,
    /// What `cargo xtask test` starts and ends.
    Test,
}

impl Instance {
    /// Part of the names of everything that belongs to it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "fhir-operator",
            Self::Test => "fhir-operator-test",
        }
    }
}

/// Where a new cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// Kubernetes in Docker
    Kind,
    /// A real node of this machine, in its own namespaces
    Local,
}

impl Backend {
    /// What a person who names none gets.
    pub fn of_this_machine() -> Self {
        if kind::docker_answers() {
            Self::Kind
        } else {
            Self::Local
        }
    }

    /// How tests and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Local => "node",
        }
    }
}

/// A way into a cluster.
#[derive(Debug, Clone)]
pub struct Access {
    /// Absent: the user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Absent: the current one of the kubeconfig.
    pub context: Option<String>,
    /// `kubectl` to use.
    pub kubectl: PathBuf,
}

impl Access {
    /// `kubectl` for this cluster.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        if let Some(file) = &self.kubeconfig {
            kubectl.arg("--kubeconfig").arg(file);
        }
        if let Some(context) = &self.context {
            kubectl.args(["--context", context]);
        }
        kubectl.args(arguments);
        kubectl
    }

    /// Runs `kubectl` and gives what it prints.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        command::output(&mut self.kubectl(arguments))
    }

    /// `helm` for this cluster.
    pub fn helm(&self, helm: &Path, arguments: &[&str]) -> Command {
        let mut helm = Command::new(helm);
        if let Some(file) = &self.kubeconfig {
            helm.arg("--kubeconfig").arg(file);
        }
        if let Some(context) = &self.context {
            helm.args(["--kube-context", context]);
        }
        helm.args(arguments);
        helm
    }
}

/// A cluster that answers.
pub trait Cluster {
    /// How it is reached.
    fn access(&self) -> &Access;

    /// Puts an image where pods find it; nothing is pulled.
    fn load_image(&self, image: &Image) -> Result<()>;

    /// Where pods reach a program that runs on this machine, if that is known.
    fn host_address(&self) -> Option<String> {
        None
    }

    /// Ends the cluster and removes what it left.
    fn down(&self) -> Result<()>;
}

/// Brings up a cluster, or goes on with the one of that name.
pub fn up(root: &Path, instance: Instance, backend: Backend, progress: &mut Progress) -> Result<Box<dyn Cluster>> {
    match backend {
        Backend::Kind => Ok(Box::new(kind::up(instance, progress)?)),
        Backend::Local => {
            packages::ensure(packages::For::Cluster)?;
            if !packages::is_root() {
                bail!(
                    "the local node needs root: it makes namespaces, mounts and a bridge; `sudo` this, or name a cluster with `--context`"
                );
            }
            Ok(Box::new(node::up(root, instance, progress)?))
        }
    }
}

/// The cluster that a context of the user's kubeconfig names.
pub fn existing(context: &str) -> Result<Box<dyn Cluster>> {
    Ok(Box::new(context::Existing::open(context)?))
}

/// Ends the cluster of this name if it is there, whatever state it is in. Says whether there was one.
pub fn down(instance: Instance) -> Result<bool> {
    let kind = kind::docker_answers() && kind::down(instance)?;
    Ok(node::down(instance)? || kind)
}
