//! transaction: all or nothing. What is there is looked up first, references between entries are resolved, then everything
//! is one [`WriteSet`]; reads are answered from what it left.

mod apart;
mod resolved;
mod step;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fhir_resource::edit::Edits;
use fhir_storage::{Change, CommitError, Expected, Outcome, WriteSet};
use http::StatusCode;

use self::resolved::resolved;
use self::step::{Step, Unmatched, step};
use super::batch::{Entry, OF_ENTRY, Response, phase_of};
use super::{delete, patch, read, single, update};
use crate::access::Action;
use crate::http::call::version_of_etag;
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;
use crate::writes::{self, NotCommitted, Ready, Resolved};

/// How often a transaction is decided again when somebody else was faster.
const TRIES: usize = 5;

/// Carries out a transaction.
pub async fn transaction(server: &Arc<Server>, entries: Vec<Entry<'_>>) -> Result<Reply> {
    apart::urls(&entries)?;
    for _ in 0..TRIES {
        let mut unmatched = Vec::new();
        let mut steps = Vec::with_capacity(entries.len());
        for entry in &entries {
            let step = step(server, entry, (steps.len(), &mut unmatched)).await;
            steps.push(step.map_err(|failure| failed(entry, failure))?);
        }
        apart::resources(&entries, &steps)?;
        let (order, set, ready) = write_set(server, &entries, &steps, unmatched).await?;
        for (entry, step) in entries.iter().zip(&steps) {
            if matches!(step, Step::Read) && !is_written(&entry.interaction, &steps) {
                apart::from_deleted(&entry.interaction, &steps).map_err(|failure| failed(entry, failure))?;
                let answer = Box::pin(single(server, &entry.interaction, &entry.call)).await;
                answer.map_err(|failure| failed(entry, failure))?;
            }
        }
        let outcomes = if set.changes.is_empty() {
            Ok(Vec::new())
        } else {
            writes::commit(server, set).await
        };
        match outcomes {
            Ok(outcomes) => return answer(server, &entries, steps, &order, ready, &outcomes).await,
            // Somebody created what a criterion had not found: decide again.
            Err(NotCommitted::Store(CommitError::Exists(_) | CommitError::NotSelective | CommitError::Outdated(_))) => {
            }
            Err(NotCommitted::Store(CommitError::Conflict { resource_type, id, .. }))
                if !writes::needs_version(server, &resource_type)
                    && was_looked_up(&entries, &steps, &resource_type, &id) => {}
            Err(error) => return Err(refused(server, &entries, &steps, error)),
        }
    }
    Err(Failure::unavailable(
        "The resources are being changed by others, try again.",
    ))
}

/// A failed entry fails the whole: its own issues after one that says which it was.
fn failed(entry: &Entry<'_>, failure: Failure) -> Failure {
    let text = format!(
        "Transaction failed on '{}' for the requested url '/{}'.",
        entry.call.method,
        entry.call.path.join("/")
    );
    let issue = OutcomeIssue {
        severity: "error",
        code: "processing",
        diagnostics: text,
        expression: String::new(),
    };
    let issues = std::iter::once(issue).chain(failure.issues).collect();
    Failure { issues, ..failure }
}

/// The changes in the order DELETE, POST, PUT; which entry each belongs to; and what is written, by entry.
async fn write_set(
    server: &Server,
    entries: &[Entry<'_>],
    steps: &[Step],
    unmatched: Vec<Unmatched>,
) -> Result<(Vec<usize>, WriteSet, Vec<Option<Ready>>)> {
    let resolved = resolved(entries, steps);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|index| phase_of(entries.get(*index)));
    let mut changed = Vec::with_capacity(order.len());
    let mut set = WriteSet {
        guard: writes::guard(unmatched.into_iter().map(|criteria| criteria.plan).collect()),
        changes: Vec::with_capacity(entries.len()),
        ..WriteSet::default()
    };
    let mut ready: Vec<Option<Ready>> = entries.iter().map(|_| None).collect();
    for index in order {
        let (Some(entry), Some(step)) = (entries.get(index), steps.get(index)) else {
            continue;
        };
        let edits = references(server, entry, step, &resolved).await?;
        let change = change(server, entry, step, &resolved, edits)
            .await
            .map_err(|failure| failed(entry, failure))?;
        let Some((change, written)) = change else { continue };
        set.changes.push(change);
        changed.push(index);
        if let Some(place) = ready.get_mut(index) {
            *place = written;
        }
    }
    Ok((changed, set, ready))
}

/// What the references of an entry's own resource become. One that leads nowhere says so by itself.
async fn references(server: &Server, entry: &Entry<'_>, step: &Step, resolved: &Resolved) -> Result<Edits> {
    let mut edits = Edits::default();
    if let (Step::Write { .. }, Some(resource)) = (step, entry.call.resource) {
        writes::rewrite(resource, resolved, &mut edits);
        writes::conditional(server, resource, &entry.call.principal, &mut edits).await?;
    }
    Ok(edits)
}

async fn change(
    server: &Server,
    entry: &Entry<'_>,
    step: &Step,
    resolved: &Resolved,
    edits: Edits,
) -> Result<Option<(Change, Option<Ready>)>> {
    let supplied = entry
        .call
        .conditions
        .if_match
        .as_deref()
        .map(version_of_etag)
        .transpose()?;
    let principal = &*entry.call.principal;
    match step {
        Step::Delete { of, id } => {
            let change = delete::change(server, &entry.call, *of, id, supplied).await?;
            Ok(change.map(|change| (change, None)))
        }
        Step::Write { of, id, is_new } => {
            let resource = entry
                .call
                .resource
                .ok_or_else(|| Failure::invalid("The request has no resource."))?;
            writes::validate(server, &entry.call, *of, resource).await?;
            if *is_new {
                let action = Action::Create;
                let (ready, resource) = writes::prepare(server, (principal, action), *of, id, resource, &edits)?;
                return Ok(Some((Change::Create { resource }, Some(ready))));
            }
            let (expected, may_create) = writes::target(server, principal, *of, id, supplied).await?;
            let action = Action::Update;
            let (ready, resource) = writes::prepare(server, (principal, action), *of, id, resource, &edits)?;
            let change = Change::Update {
                resource: resource.keeping(writes::kept(server, *of, &entry.call)),
                expected,
                may_create,
            };
            Ok(Some((change, Some(ready))))
        }
        Step::Patch { of, version } => {
            if supplied.is_none() && writes::needs_version(server, of.name()) {
                return Err(writes::version_required(of.name()));
            }
            let patched = patch::patched(server, version, &entry.call)?;
            let resource = patched.root();
            writes::validate(server, &entry.call, *of, resource).await?;
            let mut edits = Edits::default();
            writes::rewrite(resource, resolved, &mut edits);
            writes::conditional(server, resource, principal, &mut edits).await?;
            let action = Action::Update;
            let (ready, resource) = writes::prepare(server, (principal, action), *of, &version.id, resource, &edits)?;
            let resource = resource.keeping(writes::kept(server, *of, &entry.call));
            let change = Change::Update {
                resource,
                expected: Expected::Version(supplied.unwrap_or(version.version)),
                may_create: false,
            };
            Ok(Some((change, Some(ready))))
        }
        Step::Keep(_) | Step::Repeat { .. } | Step::Nothing | Step::Read => Ok(None),
    }
}

/// Whether a resource that somebody else changed meanwhile is one whose version we looked up, not the client.
fn was_looked_up(entries: &[Entry<'_>], steps: &[Step], resource_type: &str, id: &str) -> bool {
    entries.iter().zip(steps).any(|(entry, step)| {
        let changed = step.changes();
        let is_it = changed.is_some_and(|(of, changed)| of.name() == resource_type && changed == id);
        is_it && entry.call.conditions.if_match.is_none()
    })
}

/// Whether a read is of something that the transaction itself writes, which can't be looked up before.
fn is_written(interaction: &Interaction, steps: &[Step]) -> bool {
    let Interaction::Read(wanted, wanted_id) = interaction else {
        return false;
    };
    let of_wanted = |step: &Step| matches!(step, Step::Write { of, id, .. } if of == wanted && id == wanted_id);
    steps.iter().any(of_wanted)
}

async fn answer(
    server: &Arc<Server>,
    entries: &[Entry<'_>],
    steps: Vec<Step>,
    order: &[usize],
    mut ready: Vec<Option<Ready>>,
    outcomes: &[Outcome],
) -> Result<Reply> {
    let of_entry: HashMap<usize, &Outcome> = order.iter().copied().zip(outcomes).collect();
    let bytes = ready.iter().flatten().map(|ready| ready.stored.len() + OF_ENTRY).sum();
    let mut response = Response::begin("transaction-response", bytes);
    let repeated: HashSet<usize> = steps.iter().filter_map(Step::repeats).collect();
    let mut created: HashMap<usize, Reply> = HashMap::new();
    for (index, (entry, step)) in entries.iter().zip(steps).enumerate() {
        let reply = match step {
            Step::Write { .. } | Step::Patch { .. } => {
                // its bytes go as soon as they are copied
                let written = ready.get_mut(index).and_then(Option::take).zip(of_entry.get(&index));
                written
                    .map(|(ready, outcome)| update::answer(&entry.call, &ready, outcome))
                    .transpose()?
                    .unwrap_or_default()
            }
            Step::Keep(version) => {
                let path = format!("{}/{}", version.resource_type, version.id);
                let location = format!("{}/{path}/_history/{}", entry.call.base, version.version);
                let reply = Reply {
                    location: Some(location),
                    ..read::of_version(*version)
                };
                update::returned(&entry.call, reply)
            }
            Step::Repeat { first, .. } => Reply {
                status: StatusCode::OK,
                ..created.get(&first).cloned().unwrap_or_default()
            },
            Step::Delete { .. } | Step::Nothing => {
                let written = of_entry.get(&index).and_then(|outcome| writes::written(outcome));
                let version = written.map(|written| written.version);
                let reply = Reply {
                    version,
                    ..Reply::empty(StatusCode::NO_CONTENT)
                };
                update::removed(&entry.call, reply)
            }
            Step::Read => {
                let answer = Box::pin(single(server, &entry.interaction, &entry.call)).await;
                answer.unwrap_or_else(|failure| Reply::from(&failure))
            }
        };
        response.push(&reply);
        if repeated.contains(&index) {
            created.insert(index, reply);
        }
    }
    Ok(response.finish())
}

/// A commit that was refused, told as the failure of the entry that it was about.
fn refused(server: &Server, entries: &[Entry<'_>], steps: &[Step], error: NotCommitted) -> Failure {
    let about = match &error {
        NotCommitted::Store(
            CommitError::Conflict { resource_type, id, .. }
            | CommitError::NotFound { resource_type, id }
            | CommitError::IdTaken { resource_type, id },
        ) => Some((resource_type.clone(), id.clone())),
        _ => None,
    };
    let entry = about.and_then(|(name, wanted)| {
        let is_about = |step: &Step| step.changes().is_some_and(|(of, id)| of.name() == name && id == wanted);
        let position = steps.iter().position(is_about);
        position.and_then(|index| entries.get(index))
    });
    let supplied = entry.and_then(|entry| entry.call.conditions.if_match.as_deref());
    let supplied = supplied.and_then(|etag| version_of_etag(etag).ok());
    let failure = writes::refusal(server, error, supplied);
    entry.map_or_else(|| failure.clone(), |entry| failed(entry, failure.clone()))
}
