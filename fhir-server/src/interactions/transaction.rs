//! transaction: all or nothing. What is there is looked up first, references between entries are resolved, then everything
//! is one [`WriteSet`]; reads are answered from what it left.

use std::collections::HashSet;
use std::sync::Arc;

use fhir_definitions::ResourceType;
use fhir_resource::edit::Edits;
use fhir_search::Plan;
use fhir_storage::{Change, CommitError, Expected, Outcome, Version, WriteSet};
use http::StatusCode;

use super::batch::{Entry, phase_of, response};
use super::{create, read, search, single, update};
use crate::access::Action;
use crate::http::call::{self, Call, version_of_etag};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;
use crate::writes::{self, Ready, Resolved};

/// How often a transaction is decided again when somebody else was faster.
const TRIES: usize = 5;

/// What an entry comes to, once it is known what is there.
enum Step {
    /// A resource is written under this id.
    Write { of: ResourceType, id: String, is_new: bool },
    /// The criteria of a create found this: it stays.
    Keep(Box<Version>),
    /// A resource is deleted.
    Delete { of: ResourceType, id: String },
    /// The criteria of a delete found nothing.
    Nothing,
    /// Answered after the commit.
    Read,
}

/// Carries out a transaction.
pub async fn transaction(server: &Arc<Server>, entries: Vec<Entry<'_>>) -> Result<Reply> {
    refuse_repeated_urls(&entries)?;
    for _ in 0..TRIES {
        let mut guards = Vec::new();
        let mut steps = Vec::with_capacity(entries.len());
        for entry in &entries {
            let step = step(server, entry, &mut guards).await;
            steps.push(step.map_err(|failure| failed(entry, failure))?);
        }
        refuse_repeated_resources(&steps)?;
        let (order, set, ready) = write_set(server, &entries, &steps, guards).await?;
        for (entry, step) in entries.iter().zip(&steps) {
            if matches!(step, Step::Read) && !is_written(&entry.interaction, &steps) {
                let answer = Box::pin(single(server, &entry.interaction, &entry.call)).await;
                answer.map_err(|failure| failed(entry, failure))?;
            }
        }
        let outcomes = if set.changes.is_empty() {
            Ok(Vec::new())
        } else {
            server.store.commit(set).await
        };
        match outcomes {
            Ok(outcomes) => return answer(server, &entries, steps, &order, &ready, &outcomes).await,
            // Somebody created what a criterion had not found: decide again.
            Err(CommitError::Exists(_) | CommitError::NotSelective) => {}
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

fn refuse_repeated_urls(entries: &[Entry<'_>]) -> Result<()> {
    let mut seen = HashSet::new();
    match entries
        .iter()
        .filter_map(|entry| entry.full_url.as_deref())
        .find(|url| !seen.insert(*url))
    {
        Some(url) => Err(repeated(url)),
        None => Ok(()),
    }
}

fn refuse_repeated_resources(steps: &[Step]) -> Result<()> {
    let mut seen = HashSet::new();
    for step in steps {
        if let Step::Write { of, id, .. } | Step::Delete { of, id } = step
            && !seen.insert((*of, id.as_str()))
        {
            return Err(repeated(&format!("{of}/{id}")));
        }
    }
    Ok(())
}

fn repeated(what: &str) -> Failure {
    Failure::invalid(format!(
        "Bundle contains multiple entries that refers to the same resource '{what}'."
    ))
}

/// Looks up what an entry is about. Criteria that found nothing go to `guards`: they are proved again on commit.
async fn step(server: &Server, entry: &Entry<'_>, guards: &mut Vec<Plan>) -> Result<Step> {
    let call = &entry.call;
    match &entry.interaction {
        Interaction::Create(of) => {
            call.principal.require(Action::Write, *of)?;
            let Some(query) = &call.conditions.if_none_exist else {
                return Ok(Step::Write {
                    of: *of,
                    id: create::new_id(),
                    is_new: true,
                });
            };
            let found = matches(server, call, *of, &call::pairs(query)).await?;
            let mut found = found.ok_or_else(|| writes::no_criteria(of.name()))?;
            match (found.entries.len(), found.entries.pop()) {
                (0, _) => {
                    guards.push(found.plan);
                    Ok(Step::Write {
                        of: *of,
                        id: create::new_id(),
                        is_new: true,
                    })
                }
                (1, Some(version)) => Ok(Step::Keep(Box::new(version))),
                _ => Err(writes::not_selective(of.name())),
            }
        }
        Interaction::Update(of, id) => {
            call.principal.require(Action::Write, *of)?;
            let resource = call
                .resource
                .ok_or_else(|| Failure::invalid("The request has no resource."))?;
            update::check_id(*of, resource, id)?;
            Ok(Step::Write {
                of: *of,
                id: id.clone(),
                is_new: false,
            })
        }
        Interaction::ConditionalUpdate(of) => {
            call.principal.require(Action::Write, *of)?;
            let found = matches(server, call, *of, &call.query).await?;
            let mut found = found.ok_or_else(|| writes::no_criteria(of.name()))?;
            let own_id = call
                .resource
                .and_then(|resource| resource.text_of("id"))
                .map(std::borrow::Cow::into_owned);
            match (found.entries.len(), found.entries.pop()) {
                (0, _) => {
                    guards.push(found.plan);
                    let is_new = own_id.is_none();
                    Ok(Step::Write {
                        of: *of,
                        id: own_id.unwrap_or_else(create::new_id),
                        is_new,
                    })
                }
                (1, Some(version)) if own_id.as_ref().is_none_or(|own| *own == version.id) => Ok(Step::Write {
                    of: *of,
                    id: version.id,
                    is_new: false,
                }),
                (1, Some(version)) => {
                    let (found, own) = (version.id, own_id.unwrap_or_default());
                    let text = format!("Found result with Id '{found}', which did not match the provided Id '{own}'.");
                    Err(Failure::invalid(text))
                }
                _ => Err(writes::not_selective(of.name())),
            }
        }
        Interaction::Delete(of, id) => {
            call.principal.require(Action::Delete, *of)?;
            Ok(Step::Delete {
                of: *of,
                id: id.clone(),
            })
        }
        Interaction::ConditionalDelete(of) => {
            call.principal.require(Action::Delete, *of)?;
            let found = matches(server, call, *of, &call.query).await?;
            let mut found = found.ok_or_else(|| writes::not_selective(of.name()))?;
            match (found.entries.len(), found.entries.pop()) {
                (0, _) => Ok(Step::Nothing),
                (1, Some(version)) => Ok(Step::Delete {
                    of: *of,
                    id: version.id,
                }),
                _ => Err(writes::not_selective(of.name())),
            }
        }
        Interaction::Bundle => super::batch::nested().map(|_| Step::Nothing),
        _ => Ok(Step::Read),
    }
}

struct Found {
    plan: Plan,
    entries: Vec<Version>,
}

/// Up to two resources that criteria find; `None` for criteria that say nothing.
async fn matches(server: &Server, call: &Call<'_>, of: ResourceType, pairs: &call::Pairs) -> Result<Option<Found>> {
    let Some(criteria) = writes::criteria(server, of, pairs, &call.principal)? else {
        return Ok(None);
    };
    let page = search::page(server, criteria.plan.clone(), 2, None).await?;
    Ok(Some(Found {
        plan: criteria.plan,
        entries: page.entries,
    }))
}

/// The changes in the order DELETE, POST, PUT; which entry each belongs to; and what is written, by entry.
async fn write_set(
    server: &Server,
    entries: &[Entry<'_>],
    steps: &[Step],
    guards: Vec<Plan>,
) -> Result<(Vec<usize>, WriteSet, Vec<Option<Ready>>)> {
    let resolved = resolved(entries, steps);
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|index| phase_of(entries.get(*index)));
    order.retain(|index| matches!(steps.get(*index), Some(Step::Write { .. } | Step::Delete { .. })));
    let mut set = WriteSet {
        guard: writes::guard(guards),
        changes: Vec::with_capacity(order.len()),
    };
    let mut ready: Vec<Option<Ready>> = entries.iter().map(|_| None).collect();
    for &index in &order {
        let (Some(entry), Some(step)) = (entries.get(index), steps.get(index)) else {
            continue;
        };
        let change = change(server, entry, step, &resolved)
            .await
            .map_err(|failure| failed(entry, failure))?;
        let Some((change, written)) = change else { continue };
        set.changes.push(change);
        if let Some(place) = ready.get_mut(index) {
            *place = written;
        }
    }
    Ok((order, set, ready))
}

/// What references to entries become.
fn resolved(entries: &[Entry<'_>], steps: &[Step]) -> Resolved {
    let targets = entries.iter().zip(steps).filter_map(|(entry, step)| {
        let target = match step {
            Step::Write { of, id, .. } => format!("{of}/{id}"),
            Step::Keep(version) => format!("{}/{}", version.resource_type, version.id),
            Step::Delete { .. } | Step::Nothing | Step::Read => return None,
        };
        Some((entry.full_url.clone()?, target))
    });
    targets.collect()
}

async fn change(
    server: &Server,
    entry: &Entry<'_>,
    step: &Step,
    resolved: &Resolved,
) -> Result<Option<(Change, Option<Ready>)>> {
    let supplied = entry
        .call
        .conditions
        .if_match
        .as_deref()
        .map(version_of_etag)
        .transpose()?;
    let expected = supplied.map_or(Expected::Any, Expected::Version);
    match step {
        Step::Delete { of, id } => {
            let hard = entry.call.flag(&["_hardDelete", "hardDelete"]);
            let change = Change::Delete {
                resource_type: of.name().to_owned(),
                id: id.clone(),
                expected,
                hard,
            };
            Ok(Some((change, None)))
        }
        Step::Write { of, id, is_new } => {
            let resource = entry
                .call
                .resource
                .ok_or_else(|| Failure::invalid("The request has no resource."))?;
            writes::validate(server, *of, resource)?;
            let mut edits = Edits::default();
            writes::rewrite(resource, resolved, &mut edits);
            writes::conditional(server, resource, &entry.call.principal, &mut edits).await?;
            let (ready, resource) = writes::prepare(server, *of, id, resource, &edits)?;
            let change = if *is_new {
                Change::Create { resource }
            } else {
                Change::Update {
                    resource,
                    expected,
                    may_create: supplied.is_none(),
                }
            };
            Ok(Some((change, Some(ready))))
        }
        Step::Keep(_) | Step::Nothing | Step::Read => Ok(None),
    }
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
    ready: &[Option<Ready>],
    outcomes: &[Outcome],
) -> Result<Reply> {
    let outcome_of = |index: usize| {
        let place = order.iter().position(|entry| *entry == index)?;
        outcomes.get(place)
    };
    let mut replies = Vec::with_capacity(entries.len());
    for (index, (entry, step)) in entries.iter().zip(steps).enumerate() {
        let reply = match step {
            Step::Write { .. } => {
                let written = ready.get(index).and_then(Option::as_ref).zip(outcome_of(index));
                written
                    .map(|(ready, outcome)| update::answer(&entry.call, ready, outcome))
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
            Step::Delete { .. } | Step::Nothing => {
                let written = outcome_of(index).and_then(writes::written);
                let version = written.map(|written| written.version);
                Reply {
                    version,
                    ..Reply::empty(StatusCode::NO_CONTENT)
                }
            }
            Step::Read => {
                let answer = Box::pin(single(server, &entry.interaction, &entry.call)).await;
                answer.unwrap_or_else(|failure| Reply::from(&failure))
            }
        };
        replies.push(reply);
    }
    Ok(response("transaction-response", replies.into_iter()))
}

/// A commit that was refused, told as the failure of the entry that it was about.
fn refused(server: &Server, entries: &[Entry<'_>], steps: &[Step], error: CommitError) -> Failure {
    let about = match &error {
        CommitError::Conflict { resource_type, id, .. }
        | CommitError::NotFound { resource_type, id }
        | CommitError::IdTaken { resource_type, id } => Some((resource_type.clone(), id.clone())),
        _ => None,
    };
    let entry = about.and_then(|(name, wanted)| {
        let position = steps.iter().position(|step| {
            matches!(step, Step::Write { of, id, .. } | Step::Delete { of, id } if of.name() == name && *id == wanted)
        });
        position.and_then(|index| entries.get(index))
    });
    let supplied = entry.and_then(|entry| entry.call.conditions.if_match.as_deref());
    let supplied = supplied.and_then(|etag| version_of_etag(etag).ok());
    let failure = writes::refusal(server, error, supplied);
    entry.map_or_else(|| failure.clone(), |entry| failed(entry, failure.clone()))
}
