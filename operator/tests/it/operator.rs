//! The whole operator in this process, on the API server in memory.

use std::sync::Arc;

use daemon::Shutdown;
use fhir_operator::reconcile::Context;
use fhir_operator::run;
use fhir_operator::settings::Settings;
use tokio::task::JoinHandle;

use crate::api::Api;

/// A running operator; ended when dropped.
pub struct Operator {
    /// What it shares.
    pub context: Arc<Context>,
    shutdown: Shutdown,
    running: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// Options for a test: nothing is served on a fixed port.
pub fn settings(identity: &str) -> (Settings, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let releases = folder.path().join("releases.yaml");
    std::fs::write(
        &releases,
        "releases: [{version: 0.1.0, channel: stable, image: test, schema: 1}]",
    )
    .unwrap();
    let settings = Settings {
        identity: identity.to_owned(),
        management: "127.0.0.1:0".to_owned(),
        releases: Some(releases),
        ..Settings::default()
    };
    (settings, folder)
}

impl Operator {
    /// Starts one.
    pub async fn start(api: &Api) -> Self {
        Self::named(api, "only").await
    }

    /// Starts one of several.
    pub async fn named(api: &Api, identity: &str) -> Self {
        Self::with(api, settings(identity)).await
    }

    /// Starts one that watches these namespaces only.
    pub async fn watching(api: &Api, namespaces: &[&str]) -> Self {
        let (mut settings, folder) = settings("only");
        settings.watch_namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Self::with(api, (settings, folder)).await
    }

    async fn with(api: &Api, (settings, folder): (Settings, tempfile::TempDir)) -> Self {
        daemon::tls::install_provider();
        let (context, supervisor) = run::start(api.client(), &settings).await.unwrap();
        let shutdown = supervisor.shutdown();
        let running = tokio::spawn(async move { supervisor.run().await.unwrap() });
        Self {
            context,
            shutdown,
            running,
            _folder: folder,
        }
    }

    /// Ends it in order, as SIGTERM would.
    pub async fn stop(self) {
        self.shutdown.request();
        self.running.await.unwrap();
    }
}
