//! The cluster of a test run: its own name and addresses beside the one of `up`, and gone when the run ends.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cluster::{self, Backend, Cluster, Instance};
use crate::progress::Progress;
use crate::up;

/// A cluster with the operator installed.
pub struct TestCluster {
    cluster: Box<dyn Cluster>,
    root: PathBuf,
    backend: Backend,
    /// Folders that hold `kubectl` and `helm`.
    tools: Vec<PathBuf>,
}

impl TestCluster {
    /// Builds and brings up everything.
    pub fn up(root: &Path, profile: &str) -> Result<Self> {
        let mut progress = Progress::start();
        let image = up::build(root, profile, &mut progress)?;
        let helm = progress.step("helm", || up::helm(root))?;
        let backend = Backend::of_this_machine();
        // what an aborted run left would be taken for this run's
        cluster::down(Instance::Test)?;
        let cluster = cluster::up(root, Instance::Test, backend, &mut progress)?;
        let tools = [&cluster.access().kubectl, &helm]
            .iter()
            .filter_map(|tool| tool.parent())
            .map(Path::to_owned)
            .collect();
        // from here on the cluster ends, whatever fails
        let this = Self {
            cluster,
            root: root.to_owned(),
            backend,
            tools,
        };
        progress.step("image loaded", || this.cluster.load_image(&image))?;
        progress.step("charts installed, operator ready", || {
            up::install(root, this.cluster.access(), &helm, &image)
        })?;
        Ok(this)
    }

    /// What the scenarios read to find it.
    pub fn environment(&self) -> Result<Vec<(String, OsString)>> {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(self.tools.iter().cloned().chain(std::env::split_paths(&inherited)))?;
        let kubeconfig = self
            .cluster
            .access()
            .kubeconfig
            .as_ref()
            .context("a cluster of our own has a kubeconfig")?;
        let mut environment = vec![
            ("KUBECONFIG".to_owned(), kubeconfig.into()),
            ("E2E_ROOT".to_owned(), self.root.clone().into()),
            ("E2E_KIND".to_owned(), self.backend.name().into()),
            ("PATH".to_owned(), path),
            ("NATS_SERVER".to_owned(), cluster::nats_server(&self.root)?.into()),
            ("OTEL_COLLECTOR".to_owned(), cluster::otel_collector(&self.root)?.into()),
        ];
        environment.extend(
            self.cluster
                .host_address()
                .map(|address| ("E2E_HOST".to_owned(), address.into())),
        );
        Ok(environment)
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.down() {
            eprintln!("the test cluster couldn't be ended: {error:#}");
        }
    }
}
