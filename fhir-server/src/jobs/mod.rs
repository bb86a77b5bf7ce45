//! Durable background work: kept in the database, leased by one server at a time, taken over where that one died.
//!
//! Each kind has a worker in every server. A job goes on where the last one stopped: what it does before it says so must
//! be good to do twice. Its transactions are short, and requests come between them.

pub mod reindex;
pub mod sweep;

use std::sync::Arc;
use std::time::Duration;

use fhir_search::{Plan, Sort};
use fhir_storage::{CommitError, Effort, Job, JobChange, JobStatus, State};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::server::Server;
use crate::writes;

/// How long a server that says nothing keeps its job.
const LEASE: Duration = Duration::from_secs(30);
/// How often jobs are looked for that others have added.
const LOOK: Duration = Duration::from_secs(1);

/// What workers share with requests.
pub struct Jobs {
    owner: String,
    added: Notify,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            owner: Uuid::new_v4().to_string(),
            added: Notify::new(),
        }
    }
}

impl Jobs {
    /// Lets the workers look for work.
    pub fn wake(&self) {
        self.added.notify_waiters();
    }
}

/// Why a job stops.
#[derive(Debug)]
pub enum Stop {
    /// Somebody cancelled it, or another server has it.
    NotOurs,
    /// It can't be done.
    Failed(String),
    /// The database failed: it is tried again.
    Later(String),
    /// The server ends.
    Closing,
}

impl From<CommitError> for Stop {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Closed => Self::Closing,
            error @ CommitError::Damaged(_) => Self::Failed(error.to_string()),
            error => Self::Later(error.to_string()),
        }
    }
}

impl From<fhir_storage::ReadError> for Stop {
    fn from(error: fhir_storage::ReadError) -> Self {
        match error {
            error @ fhir_storage::ReadError::Damaged(_) => Self::Failed(error.to_string()),
            error => Self::Later(error.to_string()),
        }
    }
}

/// Before the server serves: puts the parameters that come with the program into the database.
pub async fn begin(server: &Server) -> Result<(), CommitError> {
    while let Some(missing) = server.conformance.missing() {
        match writes::define(server, missing).await {
            Ok(()) => {}
            // another server was faster
            Err(CommitError::Outdated(_)) => server.conformance.refresh(&server.store).await?,
            Err(error) => return Err(error),
        }
    }
    // nothing is there that would lack their rows, and nothing comes without them
    let all = Plan {
        types: std::collections::BTreeSet::new(),
        filters: Vec::new(),
        sort: Sort::Creation,
    };
    if server.store.count(&all, Effort::Any).await? == 0 {
        let own = server.conformance.own();
        let filling: Vec<u32> = own.in_state(State::Filling).map(|row| row.number).collect();
        match reindex::activate(server, &filling).await {
            Ok(()) | Err(Stop::NotOurs | Stop::Later(_) | Stop::Failed(_)) => {}
            Err(Stop::Closing) => return Err(CommitError::Closed),
        }
    }
    Ok(())
}

/// The worker of a kind; it ends with the server.
pub async fn worker(server: Arc<Server>, kind: &'static str) {
    loop {
        // asked for before looking, so that nothing is missed in between
        let added = server.jobs.added.notified();
        let claim = JobChange::Claim {
            kind,
            owner: server.jobs.owner.clone(),
            lease: LEASE,
        };
        match server.store.change_job(claim).await {
            Ok(Some(job)) => run(&server, &job).await,
            Ok(None) => {
                let wait = wait(&server, kind).await;
                tokio::select! {
                    () = added => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(CommitError::Closed) => return,
            Err(error) => {
                tracing::warn!(kind, %error, "jobs can't be looked for; trying again");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// How long nothing is to be done, as far as one knows.
async fn wait(server: &Server, kind: &str) -> Duration {
    const LONG: Duration = Duration::from_hours(1);
    let due = server.store.next_due(kind).await.ok().flatten();
    let due = due.map_or(LONG, |due| {
        let left = due.saturating_sub(jiff::Timestamp::now().as_microsecond());
        Duration::from_micros(u64::try_from(left).unwrap_or(0)) + Duration::from_millis(1)
    });
    if server.store.is_shared() { due.min(LOOK) } else { due }
}

async fn run(server: &Arc<Server>, job: &Job) {
    tracing::info!(kind = job.kind, id = job.id, "a job begins");
    let done = match job.kind.as_str() {
        reindex::KIND => reindex::run(server, job).await,
        sweep::KIND => sweep::run(server, job).await,
        _ => Err(Stop::Failed(format!("this release knows no `{}`", job.kind))),
    };
    let (status, problem) = match done {
        Ok(()) => (JobStatus::Completed, String::new()),
        Err(Stop::Failed(problem)) => (JobStatus::Failed, problem),
        Err(Stop::NotOurs | Stop::Closing) => return,
        Err(Stop::Later(error)) => {
            tracing::warn!(kind = job.kind, id = job.id, error, "a job stops; it is taken up again");
            tokio::time::sleep(LOOK).await;
            return;
        }
    };
    tracing::info!(kind = job.kind, id = job.id, ?status, problem, "a job ends");
    let end = JobChange::End {
        id: job.id.clone(),
        owner: server.jobs.owner.clone(),
        status,
        problem,
    };
    if let Err(error) = server.store.change_job(end).await {
        tracing::warn!(kind = job.kind, id = job.id, %error, "the end of a job can't be written; it is taken up again");
    }
}

/// Says how far a job is and keeps it for this server.
async fn advance(server: &Server, job: &Job, position: String, done: u64, total: u64) -> Result<(), Stop> {
    let advance = JobChange::Advance {
        id: job.id.clone(),
        owner: server.jobs.owner.clone(),
        lease: LEASE,
        position,
        done,
        total,
    };
    let job = server.store.change_job(advance).await?;
    job.map(|_| ()).ok_or(Stop::NotOurs)
}
