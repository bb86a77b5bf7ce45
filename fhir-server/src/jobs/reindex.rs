//! Makes the index rows of search parameters for resources that were written before them: type by type, by pk.
//!
//! It scans only what was written before the parameters' generation: everything later is refused by storage unless it
//! has their rows. When it is through, what it filled is searched, in place of what it replaces.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fhir_definitions::ResourceType;
use fhir_resource::stored;
use fhir_search::{Plan, Sort};
use fhir_server_settings::Reindex;
use fhir_storage::{CommitError, Effort, Filling, Job, NewJob, Scanned, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LEASE, Stop, advance};
use crate::server::Server;
use crate::writes;

/// What the jobs are called.
pub const KIND: &str = "reindex";
/// Resources that are read at a time (Microsoft's default).
pub const PER_QUERY: u32 = 100;

/// What a reindex was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Whether somebody asked for it, and doesn't want changes meanwhile.
    pub requested: bool,
    /// Recorded, as Microsoft's server shows it; the work is done by one worker.
    pub maximum_concurrency: u32,
    /// Resources that are read at a time.
    pub per_query: u32,
    /// Between two reads.
    pub delay_milliseconds: u32,
    /// All rows of these types, whether parameters have changed or not.
    pub types: Vec<String>,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            requested: false,
            maximum_concurrency: 1,
            per_query: PER_QUERY,
            delay_milliseconds: 0,
            types: Vec::new(),
        }
    }
}

impl Input {
    /// What a job was asked for.
    pub fn of(job: &Job) -> Self {
        serde_json::from_str(&job.input).unwrap_or_default()
    }

    /// As the database keeps it.
    pub fn text(&self) -> String {
        // a plain struct always serialises
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A job that does it.
    pub fn job(&self) -> NewJob {
        NewJob {
            id: Uuid::now_v7().to_string(),
            kind: KIND,
            input: self.text(),
            after: Duration::ZERO,
            // another one's types and pauses are not those that were asked for
            merges: !self.requested,
        }
    }
}

/// The job that follows from a change of search parameters.
pub fn automatic() -> NewJob {
    Input::default().job()
}

/// Where a reindex is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The definitions that are filled.
    pub definitions: Vec<u32>,
    /// Whether the rows of all parameters are made.
    pub everything: bool,
    /// The types that are left, the first one in work.
    pub types: Vec<String>,
    /// Up to here the first one is done.
    pub pk: i64,
    /// Resources that are done.
    pub done: u64,
    /// Resources in all.
    pub total: u64,
}

impl Position {
    /// Where a job is, once it has begun.
    pub fn of(job: &Job) -> Option<Self> {
        serde_json::from_str(&job.position).ok()
    }
}

/// Does what is left of a job.
pub async fn run(server: &Arc<Server>, job: &Job) -> Result<(), Stop> {
    let input = Input::of(job);
    let mut position = match Position::of(job) {
        Some(position) => position,
        None => begin(server, &input).await?,
    };
    report(server, job, &position).await?;
    while let Some(name) = position.types.first().cloned() {
        let of = server.definitions.resource_type(&name);
        let of = of.ok_or_else(|| Stop::Failed(format!("there is no type `{name}`")))?;
        let count = usize::try_from(input.per_query).unwrap_or(1);
        let page = server.store.scan(&name, position.pk, count).await?;
        let Some(last) = page.last().map(|last| last.pk) else {
            position.types.remove(0);
            position.pk = 0;
            continue;
        };
        let scanned = page.len() as u64;
        fill(server, of, page, &position).await?;
        position.pk = last;
        position.done += scanned;
        server.metrics.reindexed(scanned);
        report(server, job, &position).await?;
        pause(
            server,
            job,
            &position,
            Duration::from_millis(input.delay_milliseconds.into()),
        )
        .await?;
    }
    activate(server, &position.definitions).await
}

/// How far the index is that is being made; `None`: it is complete, or nobody knows.
pub async fn progress(server: &Server) -> Option<Reindex> {
    let jobs = server.store.jobs(KIND).await.ok()?;
    let job = jobs.into_iter().find(|job| job.status.is_open())?;
    Some(Reindex {
        id: job.id,
        done: job.done,
        total: job.total,
    })
}

/// Waits between two reads. Meanwhile the job stays this server's, and a wait that is cancelled is soon over.
async fn pause(server: &Server, job: &Job, position: &Position, delay: Duration) -> Result<(), Stop> {
    let mut left = delay;
    while !left.is_zero() {
        let part = left.min(LEASE / 3);
        tokio::time::sleep(part).await;
        left -= part;
        if !left.is_zero() {
            report(server, job, position).await?;
        }
    }
    Ok(())
}

async fn report(server: &Server, job: &Job, position: &Position) -> Result<(), Stop> {
    let text = serde_json::to_string(position).map_err(|error| Stop::Failed(error.to_string()))?;
    advance(server, job, text, position.done, position.total).await
}

/// Decides what is to be done.
async fn begin(server: &Server, input: &Input) -> Result<Position, Stop> {
    server.conformance.refresh(&server.store).await?;
    let own = server.conformance.own();
    let filling: Vec<_> = own.in_state(State::Filling).collect();
    let mut types: BTreeSet<String> = input.types.iter().cloned().collect();
    for of in server.definitions.resource_types() {
        let concerns = |base: &str| of.structure().is_a(base);
        if filling.iter().any(|row| concerns(&row.definition.base)) {
            types.insert(of.name().to_owned());
        }
    }
    let plan = Plan {
        types: types.clone(),
        filters: Vec::new(),
        sort: Sort::Creation,
    };
    let total = if types.is_empty() {
        0
    } else {
        server.store.count(&plan, Effort::Any).await?
    };
    Ok(Position {
        definitions: filling.iter().map(|row| row.number).collect(),
        everything: !input.types.is_empty(),
        types: types.into_iter().collect(),
        pk: 0,
        done: 0,
        total,
    })
}

/// Makes the rows of a page.
async fn fill(server: &Server, of: ResourceType, page: Vec<Scanned>, position: &Position) -> Result<(), Stop> {
    let definitions: &[u32] = if position.everything {
        &[]
    } else {
        &position.definitions
    };
    let mut left = keys(server, of, &page)?;
    while !left.is_empty() {
        let before = left.len();
        left = server.store.fill(left, definitions).await?;
        if left.len() == before {
            // the search parameters have changed: the keys are made again
            server.conformance.refresh(&server.store).await?;
            let first = left.first().map_or(i64::MAX, |filling| filling.pk);
            let rest: Vec<Scanned> = page.iter().filter(|scanned| scanned.pk >= first).cloned().collect();
            left = keys(server, of, &rest)?;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn keys(server: &Server, of: ResourceType, page: &[Scanned]) -> Result<Vec<Filling>, Stop> {
    let each = page.iter().map(|scanned| {
        let document = stored::parse(&scanned.stored)
            .map_err(|error| Stop::Failed(format!("{of}/{} can't be read: {error}", scanned.id)))?;
        Ok(Filling {
            pk: scanned.pk,
            version: scanned.version,
            keys: server.extractor.keys(of, document.root()),
        })
    });
    each.collect()
}

/// Lets searches use what is filled.
pub async fn activate(server: &Server, filled: &[u32]) -> Result<(), Stop> {
    loop {
        server.conformance.refresh(&server.store).await?;
        let change = server.conformance.own().activation(filled);
        if change.ready.is_empty() {
            return Ok(());
        }
        match writes::define(server, change).await {
            Ok(()) => return Ok(()),
            Err(CommitError::Outdated(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
