//! What each entry of a transaction comes to, decided by what is there.

use fhir_definitions::ResourceType;
use fhir_search::Plan;
use fhir_storage::Version;

use super::super::batch::{Entry, nested};
use super::super::create::new_id;
use super::super::{delete, patch, search, update};
use super::apart;
use crate::access::Action;
use crate::http::call::{self, Call};
use crate::http::failure::{Failure, Result};
use crate::http::route::Interaction;
use crate::server::Server;
use crate::writes;

/// What an entry comes to, once it is known what is there.
pub enum Step {
    /// A resource is written under this id.
    Write { of: ResourceType, id: String, is_new: bool },
    /// This version of a resource is patched.
    Patch { of: ResourceType, version: Box<Version> },
    /// The criteria of a create found this: it stays.
    Keep(Box<Version>),
    /// The criteria of a create found nothing, as those of the entry `first` did, which creates this: one is enough.
    Repeat { of: ResourceType, id: String, first: usize },
    /// A resource is deleted.
    Delete { of: ResourceType, id: String },
    /// The criteria of a delete found nothing.
    Nothing,
    /// Answered after the commit.
    Read,
}

impl Step {
    /// The entry that creates what this one asks for, too.
    pub fn repeats(&self) -> Option<usize> {
        match self {
            Self::Repeat { first, .. } => Some(*first),
            _ => None,
        }
    }

    /// The resource that is written or deleted.
    pub fn changes(&self) -> Option<(ResourceType, &str)> {
        match self {
            Self::Write { of, id, .. } | Self::Delete { of, id } => Some((*of, id)),
            Self::Patch { of, version } => Some((*of, &version.id)),
            Self::Keep(_) | Self::Repeat { .. } | Self::Nothing | Self::Read => None,
        }
    }
}

/// Criteria that found nothing, so that a resource is written.
pub struct Unmatched {
    /// What is asked for; proved again on commit.
    pub plan: Plan,
    of: ResourceType,
    id: String,
    /// The entry that writes.
    entry: usize,
    /// It creates, whatever the resource's id.
    creates: bool,
}

/// Looks up what an entry is about: the one with this index. Criteria that found nothing are added to the entries' before.
pub async fn step(server: &Server, entry: &Entry<'_>, place: (usize, &mut Vec<Unmatched>)) -> Result<Step> {
    let (index, unmatched) = place;
    let call = &entry.call;
    match &entry.interaction {
        Interaction::Create(of) => create(server, call, *of, (index, unmatched)).await,
        Interaction::Update(of, id) => {
            call.principal.require(Action::Update, *of)?;
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
        Interaction::ConditionalUpdate(of) => conditional_update(server, call, *of, (index, unmatched)).await,
        Interaction::Patch(of, id) => {
            call.principal.require(Action::Update, *of)?;
            let version = patch::current(server, &call.principal, *of, id).await?;
            Ok(Step::Patch {
                of: *of,
                version: Box::new(version),
            })
        }
        Interaction::ConditionalPatch(of) => {
            call.principal.require(Action::Update, *of)?;
            let found = matches(server, call, *of, &call.query).await?;
            let mut found = found.ok_or_else(|| writes::not_selective(of.name()))?;
            match (found.entries.len(), found.entries.pop()) {
                (0, _) => Err(patch::nothing_found(*of)),
                (1, Some(version)) => Ok(Step::Patch {
                    of: *of,
                    version: Box::new(version),
                }),
                _ => Err(writes::not_selective(of.name())),
            }
        }
        Interaction::Delete(of, id) => {
            delete::require(call, *of)?;
            Ok(Step::Delete {
                of: *of,
                id: id.clone(),
            })
        }
        Interaction::ConditionalDelete(of) => {
            delete::require(call, *of)?;
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
        Interaction::Bundle => nested().map(|_| Step::Nothing),
        _ => Ok(Step::Read),
    }
}

async fn create(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    place: (usize, &mut Vec<Unmatched>),
) -> Result<Step> {
    call.principal.require(Action::Create, of)?;
    let id = new_id();
    let Some(query) = &call.conditions.if_none_exist else {
        return Ok(Step::Write { of, id, is_new: true });
    };
    let (index, unmatched) = place;
    let found = matches(server, call, of, &call::pairs(query)).await?;
    let mut found = found.ok_or_else(|| writes::no_criteria(of.name()))?;
    match (found.entries.len(), found.entries.pop()) {
        (0, _) => match unmatched.iter().find(|criteria| criteria.plan == found.plan) {
            Some(first) if first.creates => Ok(Step::Repeat {
                of,
                id: first.id.clone(),
                first: first.entry,
            }),
            Some(first) => Err(apart::repeated(&format!("{}/{}", first.of, first.id))),
            None => {
                unmatched.push(Unmatched {
                    plan: found.plan,
                    of,
                    id: id.clone(),
                    entry: index,
                    creates: true,
                });
                Ok(Step::Write { of, id, is_new: true })
            }
        },
        (1, Some(version)) => Ok(Step::Keep(Box::new(version))),
        _ => Err(writes::not_selective(of.name())),
    }
}

async fn conditional_update(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    place: (usize, &mut Vec<Unmatched>),
) -> Result<Step> {
    call.principal.require(Action::Update, of)?;
    let found = matches(server, call, of, &call.query).await?;
    let mut found = found.ok_or_else(|| writes::no_criteria(of.name()))?;
    let own_id = call
        .resource
        .and_then(|resource| resource.text_of("id"))
        .map(std::borrow::Cow::into_owned);
    match (found.entries.len(), found.entries.pop()) {
        (0, _) => {
            let (index, unmatched) = place;
            if unmatched.iter().any(|criteria| criteria.plan == found.plan) {
                let query = call::query_string(call.query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                return Err(apart::repeated(&format!("{of}?{query}")));
            }
            let is_new = own_id.is_none();
            let id = own_id.unwrap_or_else(new_id);
            unmatched.push(Unmatched {
                plan: found.plan,
                of,
                id: id.clone(),
                entry: index,
                creates: false,
            });
            Ok(Step::Write { of, id, is_new })
        }
        (1, Some(version)) if own_id.as_ref().is_none_or(|own| *own == version.id) => Ok(Step::Write {
            of,
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

struct Found {
    plan: Plan,
    entries: Vec<Version>,
}

/// Up to two resources that criteria find; `None` for criteria that say nothing.
async fn matches(server: &Server, call: &Call<'_>, of: ResourceType, pairs: &call::Pairs) -> Result<Option<Found>> {
    call.principal.require(Action::Search, of)?;
    let Some(criteria) = writes::criteria(server, of, pairs, &call.principal).await? else {
        return Ok(None);
    };
    let page = search::page(server, &criteria.plan, 2, None).await?;
    Ok(Some(Found {
        plan: criteria.plan,
        entries: page.entries,
    }))
}
