//! `fhir-operator run`: start everything, watch over it, end in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::ReplaceableKey;
use daemon::{Listener, Metrics, Shutdown, Supervisor};
use kube::Client;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::admission;
use crate::certificates::{Authority, CertificateError, Endpoint, Keeper};
use crate::kubernetes::apply::Normalised;
use crate::kubernetes::definitions::{self, DefinitionError};
use crate::kubernetes::events::Events;
use crate::kubernetes::lease::Candidate;
use crate::observe::index::{Index, Watched};
use crate::observe::issuer::IssuerCell;
use crate::observe::pages::Heard;
use crate::observe::watching::{self, Watching};
use crate::reconcile::metrics::Outcomes;
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
    let client = Client::try_from(kube::Config::infer().await?)?;
    let (_, supervisor) = start(client, &settings).await?;
    Ok(supervisor.run().await?)
}

/// Starts everything; run the supervisor to keep it going.
pub async fn start(client: Client, settings: &Settings) -> Result<(Arc<Context>, Supervisor), RunError> {
    let (context, candidate) = context(client, settings)?;
    // A namespaced installation may not read definitions, which are the cluster's.
    if context.watched == Watched::Cluster {
        definitions::verify(&context.client).await?;
    }

    let mut supervisor = Supervisor::new(Duration::from_secs(settings.drain_seconds));
    let shutdown = supervisor.shutdown();
    let outcomes = serve_management(&mut supervisor, settings, &context).await?;
    if settings.webhook.enabled {
        serve_webhook(&mut supervisor, settings, &context).await?;
    }

    let Watching { tasks, synced } = watching::start(
        &context.client,
        &context.watched,
        &context.index,
        &context,
        supervisor.health(),
    );
    supervisor.critical("watches", follow(tasks, shutdown.clone()));
    supervisor.critical("issuer", until(shutdown.clone(), follow_issuer(Arc::clone(&context))));
    // The Lease is given back only when nothing of this leader is under way any more.
    let done = Shutdown::new();
    supervisor.critical("lease", campaign(candidate, done.clone()));
    let reconciling = reconcile::run(Arc::clone(&context), outcomes, synced, shutdown);
    supervisor.critical("reconcile", async move {
        let ended = reconciling.await;
        done.request();
        ended
    });
    Ok((context, supervisor))
}

fn context(client: Client, settings: &Settings) -> Result<(Arc<Context>, Candidate), RunError> {
    let (candidate, claim) = Candidate::new(client.clone(), &settings.namespace, &settings.lease, &settings.identity);
    let watched = match settings.watch_namespaces.as_slice() {
        [] => Watched::Cluster,
        namespaces => Watched::Namespaces(namespaces.to_vec()),
    };
    let context = Context {
        name: settings.name.clone(),
        watched,
        installation: Arc::new(settings.installation()?),
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
        client,
    };
    Ok((Arc::new(context), candidate))
}

async fn serve_management(
    supervisor: &mut Supervisor,
    settings: &Settings,
    context: &Arc<Context>,
) -> Result<Outcomes, RunError> {
    let metrics = Arc::new(Metrics::new("fhir_operator", env!("CARGO_PKG_VERSION")));
    let outcomes = Outcomes::register(&metrics);
    reconcile::metrics::State::register(&metrics, context);
    otlp::start(
        supervisor,
        &metrics,
        &settings.otlp,
        "fhir-operator",
        env!("CARGO_PKG_VERSION"),
    )
    .map_err(SettingsError::from)?;
    let listener = Listener::bind(&settings.management).await?;
    let status = {
        let context = Arc::clone(context);
        move || reconcile::metrics::page(&context)
    };
    let routes = daemon::management::routes(supervisor.health(), &metrics, status);
    supervisor.serve_management(listener, routes);
    Ok(outcomes)
}

async fn follow_issuer(context: Arc<Context>) {
    let (issuer, client) = (context.issuer.clone(), context.client.clone());
    issuer.follow(client, move || context.look_at_services()).await;
}

async fn campaign(candidate: Candidate, done: Shutdown) -> Result<(), Infallible> {
    candidate.run(async move { done.requested().await }).await;
    Ok(())
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
