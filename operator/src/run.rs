//! `fhir-operator run`: start everything, watch over it, end in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::ReplaceableKey;
use daemon::{Listener, Metrics, Shutdown, Supervisor};
use fhir_operator_core::names;
use kube::Client;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::admission;
use crate::certificates::{Authority, CertificateError, Endpoint, Keeper};
use crate::kubernetes::apply::Normalised;
use crate::kubernetes::definitions::{self, DefinitionError};
use crate::kubernetes::events::Events;
use crate::kubernetes::lease::Candidate;
use crate::observe::index::{self, Index, Watched};
use crate::observe::issuer::IssuerCell;
use crate::observe::pages::Heard;
use crate::reconcile::queue::Queue;
use crate::reconcile::{self, Context};
use crate::settings::{Settings, SettingsError, Webhook};

/// Why the operator doesn't start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The options can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no cluster to talk to.
    #[error("no cluster is configured: run in a pod, or set KUBECONFIG")]
    Config(#[from] kube::config::InferConfigError),
    /// The client can't be made.
    #[error("the API server can't be talked to")]
    Client(#[from] kube::Error),
    /// The custom resources aren't installed, or are too old.
    #[error(transparent)]
    Definitions(#[from] DefinitionError),
    /// An address can't be listened on.
    #[error(transparent)]
    Listen(#[from] daemon::ListenerError),
    /// The webhook can't be served.
    #[error("the webhook can't be served")]
    Certificate(#[from] CertificateError),
    /// The webhook's TLS can't be configured.
    #[error("the webhook can't be served")]
    Tls(#[from] daemon::tls::TlsError),
    /// Something that has to run stopped.
    #[error(transparent)]
    Process(#[from] daemon::ProcessError),
}

/// Runs until SIGTERM, or until something that has to run stops.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let installation = Arc::new(settings.installation()?);
    let client = Client::try_from(kube::Config::infer().await?)?;
    let watched = match settings.watch_namespaces.as_slice() {
        [] => Watched::Cluster,
        namespaces => Watched::Namespaces(namespaces.to_vec()),
    };
    // A namespaced installation may not read definitions, which are the cluster's.
    if watched == Watched::Cluster {
        definitions::verify(&client).await?;
    }

    let mut supervisor = Supervisor::new(Duration::from_secs(settings.drain_seconds));
    let shutdown = supervisor.shutdown();
    let (candidate, claim) = Candidate::new(client.clone(), &settings.namespace, &settings.lease, &settings.identity);
    let context = Arc::new(Context {
        client: client.clone(),
        name: settings.name.clone(),
        watched,
        installation,
        index: Arc::new(Index::default()),
        queue: Queue::default(),
        claim,
        places: Mutex::new(()),
        issuer: IssuerCell::default(),
        server_pages: Heard::default(),
        connector_pages: Heard::default(),
        probes: Heard::default(),
        normalised: Normalised::default(),
        events: Events::new(client.clone(), &settings.identity),
    });

    let metrics = Arc::new(Metrics::new("fhir_operator", env!("CARGO_PKG_VERSION")));
    let outcomes = reconcile::metrics::Outcomes::register(&metrics);
    reconcile::metrics::State::register(&metrics, &context);
    let management = Listener::bind(&settings.management).await?;
    let status = {
        let context = Arc::clone(&context);
        move || reconcile::metrics::page(&context)
    };
    let routes = daemon::management::routes(supervisor.health(), &metrics, status);
    supervisor.serve_management(management, routes);

    if settings.webhook.enabled {
        serve_webhook(&mut supervisor, &settings, &context).await?;
    }

    let (watches, synced) = index::start(
        &context.client,
        &context.watched,
        &format!("{}={}", names::MANAGED_BY, names::OPERATOR),
        &context.index,
        &context,
        supervisor.health(),
    );
    supervisor.critical("watches", follow(watches, shutdown.clone()));

    let issuer = {
        let context = Arc::clone(&context);
        context
            .issuer
            .clone()
            .follow(client, move || context.look_at_services())
    };
    supervisor.critical("issuer", until(shutdown.clone(), issuer));

    let ended = shutdown.clone();
    supervisor.critical("lease", async move {
        candidate.run(async move { ended.requested().await }).await;
        Ok::<(), Infallible>(())
    });
    supervisor.critical("reconcile", reconcile::run(context, outcomes, synced, shutdown));
    Ok(supervisor.run().await?)
}

async fn serve_webhook(
    supervisor: &mut Supervisor,
    settings: &Settings,
    context: &Arc<Context>,
) -> Result<(), RunError> {
    let Webhook {
        enabled: _,
        listen,
        service,
        secret,
        configuration,
    } = settings.webhook.clone();
    let endpoint = Endpoint {
        namespace: settings.namespace.clone(),
        service,
        secret,
        configuration,
    };
    // Until the shared CA is read, a leaf that nobody trusts: the gate below keeps requests away.
    let now = jiff::Timestamp::now();
    let first = Authority::generate(now)?.leaf(&endpoint.host(), now)?.certified_key()?;
    let served = ReplaceableKey::new(first);
    let tls = daemon::tls::server_config(served.clone())?;
    let listener = Listener::bind(&listen).await?.with_tls(tls).with_max_connections(256);
    supervisor.serve("webhook", listener, admission::routes(Arc::clone(context)));
    let keeper = Keeper {
        client: context.client.clone(),
        endpoint,
        served,
        trusted: supervisor.health().gate("webhook certificate"),
        claim: context.claim.clone(),
    };
    let shutdown = supervisor.shutdown();
    supervisor.critical("certificates", async move {
        keeper.run(shutdown).await;
        Ok::<(), Infallible>(())
    });
    Ok(())
}

/// A watch never ends; one that does takes the process down.
async fn follow(mut watches: JoinSet<()>, shutdown: Shutdown) -> Result<(), &'static str> {
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        _ = watches.join_next() => Err("a watch ended"),
    }
}

async fn until(shutdown: Shutdown, task: impl Future<Output = ()>) -> Result<(), &'static str> {
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        () = task => Err("it returned"),
    }
}
