//! Settings → a running server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use daemon::health::Gate;
use daemon::listener::Listener;
use daemon::metrics::Metrics as Registry;
use daemon::supervisor::{Shutdown, Supervisor};
use daemon::tls::CertificateFiles;
use fhir_server_settings::{Database, Settings, SettingsError, StatusPage};
use fhir_storage::{CommitError, OpenError, ReadError, Store, StoreOptions, Url};
use thiserror::Error;

use crate::access::{AccessControl, AccessError};
use crate::audit::{Audit, AuditError};
use crate::conformance::Conformance;
use crate::http;
use crate::jobs::{self, reindex, sweep};
use crate::metrics::Metrics;
use crate::server::{Address, Server};

/// Beyond the time of a request: until other servers know of a change.
const GRACE_SECONDS: u64 = 2;

/// How often PostgreSQL is asked whether it is there, and whether other servers have defined something: they may count on a
/// second. It is one row.
const LOOK: Duration = Duration::from_millis(500);

/// Why a server can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An option can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database can't be opened.
    #[error("can't open the database")]
    Database(#[from] OpenError),
    /// The database can't be read.
    #[error("can't read the database")]
    Read(#[from] ReadError),
    /// The database can't be written.
    #[error("can't write to the database")]
    Commit(#[from] CommitError),
    /// The file with its URL can't be read.
    #[error("can't read the database's URL from `{path}`")]
    DatabaseFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Issuers and grants can't be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The audit log can't be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An address can't be listened on, or a certificate can't be used.
    #[error("can't listen on `{address}`")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StartError {
    fn listen(address: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Listen {
            address: address.to_owned(),
            source: source.into(),
        }
    }
}

/// A server that listens; it serves while [`Running::run`] is polled.
pub struct Running {
    /// Where the FHIR API is.
    pub address: SocketAddr,
    /// Where status, metrics and health are, if they are served.
    pub management: Option<SocketAddr>,
    supervisor: Supervisor,
}

impl Running {
    /// Ends it as SIGTERM does.
    pub fn shutdown(&self) -> daemon::supervisor::Shutdown {
        self.supervisor.shutdown()
    }

    /// Serves until SIGTERM, SIGINT or a shutdown, then drains.
    pub async fn run(self) -> Result<(), daemon::supervisor::ProcessError> {
        self.supervisor.run().await
    }
}

/// How the store is opened.
pub(crate) fn store_options(settings: &Settings) -> Result<StoreOptions, StartError> {
    let database = match &settings.database_file {
        None => settings.database()?,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| StartError::DatabaseFile {
                path: path.clone(),
                source,
            })?;
            Database::parse(text.trim())?
        }
    };
    let connections = usize::try_from(settings.database_connections).unwrap_or(usize::MAX);
    let (database, readers) = match database {
        Database::Sqlite(path) => {
            let processors = daemon::process::processors();
            (fhir_storage::Database::Sqlite(path), processors.max(2))
        }
        Database::Postgres(url) => (fhir_storage::Database::Postgres(Url::new(url)), connections),
    };
    Ok(StoreOptions {
        database,
        version: match settings.version()? {
            fhir_server_settings::FhirVersion::R4 => fhir_definitions::FhirVersion::R4,
            fhir_server_settings::FhirVersion::Stu3 => fhir_definitions::FhirVersion::Stu3,
        },
        readers,
        statement: Duration::from_secs(u64::from(settings.limits.request_seconds())),
    })
}

/// Asks a shared database now and then: a server that can't reach it takes no requests, and what another server has
/// defined is soon in force here, too.
async fn watch(server: Arc<Server>, gate: Gate, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
    loop {
        match server.conformance.refresh(&server.store).await {
            Ok(()) => gate.open(),
            // it is there, and others are served
            Err(ReadError::Busy) => {}
            Err(error) => {
                gate.close();
                tracing::warn!(error = %daemon::process::describe(&error), "the database can't be read; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

/// Opens the database and listens.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    settings.validate()?;
    let options = store_options(&settings)?;
    let version = options.version;
    let store = Store::open(&options).await?;
    let grace = Duration::from_secs(u64::from(settings.limits.request_seconds()) + GRACE_SECONDS);
    let conformance = Conformance::load(version, &store, grace).await?;
    let mut supervisor = Supervisor::new(Duration::from_secs(u64::from(settings.drain_seconds)));
    let shutdown = supervisor.shutdown();
    let access = access(&settings, &mut supervisor)?;
    let registry = Arc::new(Registry::new("fhir_server", env!("CARGO_PKG_VERSION")));
    let listener = listen(&settings).await?;
    let address = listener.address();
    let metrics = Metrics::new(&registry);
    otlp::start(
        &mut supervisor,
        &registry,
        &settings.otlp,
        "fhir-server",
        env!("CARGO_PKG_VERSION"),
    )?;
    let audit = Audit::open(&settings.audit()?, metrics.audit_lines_lost.clone())?.map(Arc::new);
    let server = Server::new(
        Arc::clone(&store),
        conformance,
        settings.history.clone(),
        access,
        settings.limits.clone(),
        metrics,
        Address {
            base_url: settings.base_url.clone(),
            listen: address.to_string(),
            tls: settings.tls.is_some(),
        },
    );
    let server = server.with_audit(audit.clone()).with_smart(settings.smart.clone());
    let server = Arc::new(server.with_cors(http::cors::Policy::of(&settings.cors)));
    let health = supervisor.health().clone();
    jobs::begin(&server).await?;
    if store.is_shared() {
        let gate = health.gate("database");
        supervisor.critical("database", watch(Arc::clone(&server), gate, shutdown.clone()));
    }
    for kind in [reindex::KIND, sweep::KIND] {
        let (worker, requested) = (jobs::worker(Arc::clone(&server), kind), shutdown.clone());
        supervisor.critical(kind, async move {
            tokio::select! {
                () = worker => {}
                () = requested.requested() => {}
            }
            Ok::<(), std::convert::Infallible>(())
        });
    }
    let reporting = Arc::clone(&server);
    let mut management_address = None;
    let router: Router = daemon::management::health_routes(&health).merge(http::router(server));
    supervisor.serve("api", listener, router);
    if let Some(management) = &settings.management {
        let listener = Listener::bind(management)
            .await
            .map_err(|error| StartError::listen(management, error))?;
        management_address = Some(listener.address());
        let page = StatusPage {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fhir_version: settings.version()?,
            schema: store.schema(),
            reindex: None,
        };
        let status = move || {
            let (page, server) = (page.clone(), Arc::clone(&reporting));
            async move {
                let reindex = jobs::reindex::progress(&server).await;
                StatusPage { reindex, ..page }
            }
        };
        supervisor.serve_management(listener, daemon::management::routes(&health, &registry, status));
    }
    if let Some(audit) = audit {
        supervisor.on_close("audit log", async move { audit.close() });
    }
    supervisor.on_close("database", async move { store.close().await });
    tracing::info!(%version, %address, anonymous = settings.anonymous, "serving");
    Ok(Running {
        address,
        management: management_address,
        supervisor,
    })
}

/// The port of the API, with its certificate where it has one.
async fn listen(settings: &Settings) -> Result<Listener, StartError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StartError::listen(&settings.listen, source);
    let listener = Listener::bind(&settings.listen)
        .await
        .map_err(|error| failed(error.into()))?;
    let Some(tls) = &settings.tls else {
        return Ok(listener);
    };
    let files = CertificateFiles {
        chain: tls.certificate.clone(),
        key: tls.key.clone(),
    };
    let key = files.serve().map_err(|error| failed(error.into()))?;
    let config = daemon::tls::server_config(key).map_err(|error| failed(error.into()))?;
    Ok(listener.with_tls(config))
}

/// Issuers and grants as they are set; a file of them is followed.
fn access(settings: &Settings, supervisor: &mut Supervisor) -> Result<AccessControl, StartError> {
    let access = match (&settings.access_file, settings.access.clone()) {
        (Some(file), _) => {
            let (access, watch) = AccessControl::watched(file.clone())?;
            let requested = supervisor.shutdown();
            supervisor.critical("access file", async move {
                tokio::select! {
                    () = watch => {}
                    () = requested.requested() => {}
                }
                Ok::<(), std::convert::Infallible>(())
            });
            access
        }
        (None, Some(access)) => AccessControl::fixed(access)?,
        (None, None) => AccessControl::anonymous(),
    };
    Ok(access.with_smart(settings.smart.enabled))
}
