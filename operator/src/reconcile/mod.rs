//! observe → core → apply → status, one short file a resource, on the leader only.

mod children;
mod context;
mod device_keys;
mod fhir_service;
mod iot_connector;
pub mod metrics;
mod misfits;
pub mod queue;
pub mod render;
pub mod tenant;

use std::sync::Arc;
use std::time::Duration;

use daemon::Shutdown;
use tokio::task::JoinSet;

pub use context::{Context, Task};

use self::metrics::Outcomes;
use self::queue::Outcome;
use crate::kubernetes::apply::ApplyError;
use crate::kubernetes::prune::PruneError;
use crate::kubernetes::status::StatusError;
use crate::observe::watching::Synced;

/// Tasks in work at a time; the API server is the limit long before this process is.
const WORKERS: usize = 8;

/// A task that takes longer than this is given up and tried again.
const PATIENCE: Duration = Duration::from_mins(1);

/// A task that somebody's write overtook is looked at again when the watch has had time to tell of that write.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// How long to wait for the issuer of tokens before services are looked at without it.
const ISSUER_PATIENCE: Duration = Duration::from_secs(30);

/// Why a task has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A child isn't as it should be.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A child that should go didn't.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// The status isn't as it should be.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A device key wasn't made.
    #[error(transparent)]
    Key(#[from] device_keys::KeyError),
    /// Places aren't settled.
    #[error(transparent)]
    Places(#[from] tenant::PlacesError),
    /// It took too long.
    #[error("not done within {PATIENCE:?}")]
    Slow(#[from] tokio::time::error::Elapsed),
}

impl ReconcileError {
    /// Somebody else wrote in between, which is ordinary: the next look sees it.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Places(tenant::PlacesError::Status(error)) | Self::Status(error) => error.is_conflict(),
            _ => false,
        }
    }
}

/// Reconciles while this replica leads, until the shutdown.
pub async fn run(
    context: Arc<Context>,
    outcomes: Outcomes,
    synced: Synced,
    shutdown: Shutdown,
) -> Result<(), &'static str> {
    tokio::select! {
        () = shutdown.requested() => return Ok(()),
        () = async { tokio::join!(synced.complete(), context.issuer.known(ISSUER_PATIENCE)); } => {}
    }
    let mut claim = context.claim.clone();
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            led = claim.wait_for(|claim| claim.is_held()) => if led.is_err() { return Ok(()) },
        }
        context.look_at_all();
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(work(Arc::clone(&context), outcomes.clone()));
        }
        tokio::select! {
            () = shutdown.requested() => {}
            _ = claim.wait_for(|claim| !claim.is_held()) => {}
            _ = workers.join_next() => return Err("a worker ended"),
        }
        // A place that is being written is written before anybody else may lead. All else is cut off: it is idempotent,
        // and the next leader does it again.
        let _settled = tokio::time::timeout(tenant::WRITE_PATIENCE, context.places.lock()).await;
        workers.shutdown().await;
        context.queue.release_all();
        if shutdown.is_requested() {
            return Ok(());
        }
    }
}

async fn work(context: Arc<Context>, outcomes: Outcomes) {
    loop {
        let task = context.queue.next().await;
        let result = match tokio::time::timeout(PATIENCE, reconcile(&task, &context)).await {
            Ok(result) => result,
            Err(slow) => Err(slow.into()),
        };
        outcomes.count(&task, &result);
        let outcome = match result {
            Ok(again) => Outcome::Done(again),
            Err(error) if error.is_conflict() => {
                tracing::debug!(?task, error = daemon::process::describe(&error), "looked at again");
                Outcome::Done(Some(OVERTAKEN))
            }
            Err(error) => {
                tracing::warn!(?task, error = daemon::process::describe(&error), "tried again later");
                Outcome::Failed
            }
        };
        context.queue.finish(&task, outcome);
    }
}

/// One look at one task; gives when to look again at the latest.
async fn reconcile(task: &Task, context: &Context) -> Result<Option<Duration>, ReconcileError> {
    if let Task::FhirService(name) | Task::IoTConnector(name) = task
        && (!context.serves(&name.namespace) || context.is_ending(&name.namespace))
    {
        return Ok(None);
    }
    match task {
        Task::Places(holder) => {
            Box::pin(tenant::reconcile(holder, context)).await?;
            Ok(None)
        }
        Task::FhirService(name) => Box::pin(fhir_service::reconcile(name, context)).await,
        Task::IoTConnector(name) => Box::pin(iot_connector::reconcile(name, context)).await,
    }
}
