//! The way into the database: definitions follow the SearchParameters of a set in its own transaction, and a set whose
//! keys were made before a change of search parameters is made ready again.

use fhir_resource::stored;
use fhir_search::Keys;
use fhir_storage::{Change, CommitError, DefinitionChange, Outcome, Prepared, WriteSet};
use http::StatusCode;

use crate::conformance::SEARCH_PARAMETER;
use crate::http::failure::Failure;
use crate::interactions::search;
use crate::jobs::reindex;
use crate::server::Server;

/// How often a set is made ready again.
const TRIES: usize = 10;

/// Why nothing was committed.
#[derive(Debug)]
pub enum NotCommitted {
    /// Storage refused.
    Store(CommitError),
    /// The definitions that would follow are refused.
    Refused(Failure),
}

impl From<CommitError> for NotCommitted {
    fn from(error: CommitError) -> Self {
        Self::Store(error)
    }
}

/// Commits a set. One with a guard is given back as outdated where search parameters have changed: its criteria have to
/// be read again.
pub async fn commit(server: &Server, mut set: WriteSet) -> Result<Vec<Outcome>, NotCommitted> {
    let defines = set.changes.iter().any(|change| type_of(change) == SEARCH_PARAMETER);
    for _ in 0..TRIES {
        if defines {
            define_with(server, &mut set).await.map_err(NotCommitted::Refused)?;
        }
        let is_guarded = set.guard.is_some();
        match server.store.commit(set).await {
            Ok(outcomes) => {
                if defines {
                    refresh(server).await?;
                    server.jobs.wake();
                }
                return Ok(outcomes);
            }
            Err(CommitError::Outdated(outdated)) => {
                refresh(server).await?;
                if is_guarded {
                    return Err(CommitError::Outdated(outdated).into());
                }
                set = *outdated;
                for resource in set.changes.iter_mut().filter_map(Change::resource_mut) {
                    let keys = keys(server, resource)?;
                    resource.index(keys);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let text = "The search parameters are being changed by others, try again.";
    Err(NotCommitted::Refused(Failure::unavailable(text)))
}

/// Commits one change.
pub async fn commit_one(server: &Server, change: Change) -> Result<Outcome, NotCommitted> {
    let set = WriteSet {
        changes: vec![change],
        ..WriteSet::default()
    };
    let outcomes = commit(server, set).await?;
    Ok(outcomes.into_iter().next().unwrap_or(Outcome::AlreadyDeleted))
}

/// Commits a change of definitions that no resource asks for, with the work that follows from it.
pub async fn define(server: &Server, change: DefinitionChange) -> Result<(), CommitError> {
    let set = WriteSet {
        jobs: server.conformance.work(&change),
        definitions: Some(change),
        ..WriteSet::default()
    };
    server.store.commit(set).await?;
    server.conformance.refresh(&server.store).await?;
    server.jobs.wake();
    Ok(())
}

fn type_of(change: &Change) -> &str {
    match change {
        Change::Create { resource } | Change::Update { resource, .. } => resource.resource_type(),
        Change::Delete { resource_type, .. } | Change::PurgeHistory { resource_type, .. } => resource_type,
    }
}

/// Adds what the set's SearchParameters define, and the work that follows.
async fn define_with(server: &Server, set: &mut WriteSet) -> Result<(), Failure> {
    let jobs = server.store.jobs(reindex::KIND).await;
    let jobs = jobs.map_err(|error| search::storage(&error))?;
    let in_the_way = |job: &&fhir_storage::Job| job.status.is_open() && reindex::Input::of(job).requested;
    if let Some(job) = jobs.iter().find(in_the_way) {
        let text = format!(
            "Changes to search parameters are not allowed while a reindex job is in progress. Wait for the reindex job \
             with Id: {} to finish, or cancel it.",
            job.id
        );
        return Err(Failure::new(StatusCode::CONFLICT, "conflict", text));
    }
    set.definitions = server.conformance.change(&set.changes)?;
    set.jobs = set
        .definitions
        .iter()
        .flat_map(|change| server.conformance.work(change))
        .collect();
    Ok(())
}

async fn refresh(server: &Server) -> Result<(), NotCommitted> {
    let refreshed = server.conformance.refresh(&server.store).await;
    refreshed.map_err(|error| NotCommitted::Store(error.into()))
}

fn keys(server: &Server, resource: &Prepared) -> Result<Keys, NotCommitted> {
    let refused = |failure: Failure| NotCommitted::Refused(failure);
    let of = server.definitions.resource_type(resource.resource_type());
    let of = of.ok_or_else(|| refused(Failure::unknown_type(resource.resource_type())))?;
    let document = stored::parse(resource.stored()).map_err(|error| refused(error.into()))?;
    Ok(server.extractor.keys(of, document.root()))
}
