//! Turns device messages into FHIR Observations for one IoTConnector.
//!
//! Messages come in by HTTP or from a source and are acknowledged when they are on disk ([`spool`]); the [`pipeline`] makes measurements of
//! them and writes Observations; what can't be used is a dead letter with its reason.

mod backoff;
pub mod cli;
mod dead_letter_commands;
mod dry_run;
pub mod fhir_client;
mod http;
pub mod ingest;
mod management;
mod mappings;
mod metrics;
mod normalise;
pub mod pipeline;
mod shared;
mod source;
pub mod spool;
mod status;
mod store;
mod trace;
mod trace_command;
mod unmatched;
mod unmatched_command;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{http::StatusCode, response::Response};
use daemon::{
    Listener, ListenerError, Metrics, ProcessError, Shutdown, Supervisor,
    tls::{CertificateFiles, TlsError},
};
use iot_connector_settings::{MESSAGES_PATH, Settings, SettingsError};
use thiserror::Error;
use tokio::sync::watch;
use tracing::info;

use crate::{
    fhir_client::{ClientError, FhirClient},
    http::Ingest,
    ingest::senders::Senders,
    mappings::{MappingTexts, Mappings, Pair},
    metrics::ConnectorMetrics,
    pipeline::Pipeline,
    shared::Shared,
    spool::{Keep, Spool, SpoolError},
    status::SharedReport,
    store::Store,
    trace::Tracing,
};

/// What the program is called where its figures go.
const NAME: &str = "iot-connector";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a connector can't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// An issuer of devices' tokens.
    #[error("an issuer can't be used")]
    Issuer(#[from] bearer::ConfigurationError),
    /// The FHIR client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A port.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A connector whose ports are open and whose tasks run.
pub struct Connector {
    supervisor: Supervisor,
    address: SocketAddr,
    management: Option<SocketAddr>,
}

impl Connector {
    /// Where devices send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators look.
    pub fn management(&self) -> Option<SocketAddr> {
        self.management
    }

    /// Ends it in order.
    pub fn shutdown(&self) -> Shutdown {
        self.supervisor.shutdown()
    }

    /// Runs until it is told to end.
    pub async fn run(self) -> Result<(), ProcessError> {
        self.supervisor.run().await
    }
}

/// Opens the spool and the ports, and starts to work. Needs the TLS provider installed.
pub async fn start(settings: Settings) -> Result<Connector, StartError> {
    settings.validate()?;
    let report = SharedReport::default();
    let fhir = FhirClient::new(&settings.fhir_server)?;
    let registry = Arc::new(registry(&settings));
    let metrics = registry.register(ConnectorMetrics::register);
    let mut supervisor = Supervisor::new(Duration::from_secs(u64::from(settings.drain_seconds)));
    otlp::start(&mut supervisor, &registry, &settings.otlp, NAME, VERSION)?;
    let shutdown = supervisor.shutdown();

    let (mappings, in_force) = Mappings::new(&settings, report.clone());
    let texts = mappings.texts();
    let following = shutdown.clone();
    supervisor.critical("mappings", async move {
        mappings.follow(following).await;
        Ok::<(), SpoolError>(())
    });
    let store = open_store(&settings, in_force.clone(), metrics.clone(), &mut supervisor)?;
    registry.register(|registry| ConnectorMetrics::register_store(registry, store.clone()));
    let heartbeat = supervisor.health().heartbeat("pipeline", Duration::from_mins(2));
    let pipeline = Pipeline::new(
        &settings,
        store.clone(),
        in_force.clone(),
        fhir,
        metrics.clone(),
        report.clone(),
        shutdown.clone(),
    );
    supervisor.critical("pipeline", async move {
        pipeline
            .run(heartbeat)
            .await
            .map_err(|error| daemon::process::describe(&error))
    });

    let ingest = Arc::new(Ingest {
        senders: Senders::start(&settings)?,
        store: store.clone(),
        max_bytes: settings.spool.max_bytes,
        dead_letters: settings.dead_letters.clone(),
        metrics,
        report: report.clone(),
    });
    source::start(&settings, &ingest, &mut supervisor)?;
    let mut listener = Listener::bind(&settings.listen).await?;
    if let Some(tls) = &settings.tls {
        let files = CertificateFiles {
            chain: tls.certificate.clone(),
            key: tls.key.clone(),
        };
        listener = listener.with_tls(daemon::tls::server_config(files.serve()?)?);
    }
    let address = listener.address();
    let routes = http::message_routes(ingest.clone()).merge(daemon::management::health_routes(supervisor.health()));
    supervisor.serve("messages", listener, routes.fallback(unknown));
    let management = match &settings.management {
        Some(address) => {
            let tracing = Arc::new(Tracing {
                store,
                mappings: in_force,
                report,
            });
            let hosts = settings.management_hosts.clone().into();
            Some(serve_management(&mut supervisor, address, hosts, &registry, ingest, tracing, texts).await?)
        }
        None => None,
    };
    info!(%address, management = management.map(|address| address.to_string()), "messages are accepted");
    Ok(Connector {
        supervisor,
        address,
        management,
    })
}

/// With the connector's name on all figures, where it has one.
fn registry(settings: &Settings) -> Metrics {
    let name = settings.name.iter().map(|name| ("connector", name.clone()));
    Metrics::labelled("iot_connector", VERSION, name)
}

/// A file, or streams that are shared; what is needed to use them runs under the supervisor.
fn open_store(
    settings: &Settings,
    mappings: watch::Receiver<Option<Arc<Pair>>>,
    metrics: ConnectorMetrics,
    supervisor: &mut Supervisor,
) -> Result<Store, StartError> {
    if let Some(shared) = Shared::new(settings, mappings, metrics) {
        supervisor.critical("shared spool", shared.clone().run());
        return Ok(Store::Shared(shared));
    }
    let spool = Arc::new(Spool::open(&settings.spool.path, Keep::from(&settings.trace))?);
    let (watched, ends) = (spool.clone(), supervisor.shutdown());
    supervisor.critical("spool", async move {
        tokio::select! {
            () = watched.closed() => Err(SpoolError::Closed),
            () = ends.requested() => Ok(()),
        }
    });
    Ok(Store::File(spool))
}

async fn serve_management(
    supervisor: &mut Supervisor,
    address: &str,
    hosts: Arc<[String]>,
    registry: &Arc<Metrics>,
    ingest: Arc<Ingest>,
    tracing: Arc<Tracing>,
    texts: watch::Receiver<MappingTexts>,
) -> Result<SocketAddr, StartError> {
    let listener = Listener::bind(address).await?;
    let address = listener.address();
    let (store, unmatched) = (ingest.store.clone(), ingest.metrics.unmatched.clone());
    let status = move || {
        let ingest = ingest.clone();
        async move {
            let page = move || ingest.report.page(&ingest.store, ingest.full().map(http::Full::reason));
            tokio::task::spawn_blocking(page).await.ok()
        }
    };
    let routes = daemon::management::routes(supervisor.health(), registry, status)
        .merge(http::dead_letter_routes(store))
        .merge(http::trace_routes(tracing))
        .merge(http::unmatched_routes(unmatched))
        .merge(http::dry_run_routes())
        .merge(http::mapping_page_routes(texts))
        .fallback(unmanaged)
        .layer(axum::middleware::from_fn_with_state(hosts, http::own_pages_only));
    supervisor.serve_management(listener, routes);
    Ok(address)
}

async fn unmanaged() -> Response {
    let pages = "`/status`, `/metrics`, `/health/ready`, `/dead-letters`, `/traces`, `/unmatched` and `/mapping`";
    http::refusal(StatusCode::NOT_FOUND, format!("here are {pages}"))
}

async fn unknown() -> Response {
    http::refusal(StatusCode::NOT_FOUND, format!("devices post to `{MESSAGES_PATH}`"))
}
