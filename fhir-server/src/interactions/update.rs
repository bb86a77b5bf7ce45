//! update (PUT creates, too), also conditional.

use fhir_definitions::ResourceType;
use fhir_resource::edit::Edits;
use fhir_resource::reference::is_id;
use fhir_resource::{Document, Node};
use fhir_storage::{Change, CommitError, Expected, Kind, Outcome, WriteSet};
use http::StatusCode;

use super::{create, search};
use crate::access::Action;
use crate::http::call::{Call, version_of_etag};
use crate::http::failure::{Failure, ID_REQUIREMENTS, Result};
use crate::http::negotiation::Return;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes::{self, NotCommitted, Ready};

/// How often a write looks again when somebody else was faster.
pub const TRIES: usize = 5;

/// Writes the resource under the id of the URL.
pub async fn update(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Update, of)?;
    let resource = call
        .resource
        .ok_or_else(|| Failure::invalid("The request has no resource."))?;
    check_id(of, resource, id)?;
    writes::validate(server, call, of, resource).await?;
    let mut edits = Edits::default();
    writes::conditional(server, resource, &call.principal, &mut edits).await?;
    put(server, call, of, id, resource, &edits).await
}

/// The id in the URL must be one, and the resource must have it.
pub fn check_id(of: ResourceType, resource: Node<'_>, id: &str) -> Result<()> {
    if !is_id(id) {
        return Err(Failure::invalid(ID_REQUIREMENTS));
    }
    if resource.text_of("resourceType").is_some_and(|name| name != of.name()) {
        return Err(Failure::invalid(
            "Resource type in the URL must match resourceType in the resource.",
        ));
    }
    match resource.get("id") {
        None => Err(Failure::invalid("Id must be specified in the resource.")),
        Some(own) if own.as_str().as_deref() == Some(id) => Ok(()),
        Some(_) => Err(Failure::invalid("Id in the URL must match id in the resource.")),
    }
}

async fn put(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    id: &str,
    resource: Node<'_>,
    edits: &Edits,
) -> Result<Reply> {
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    let must_name = supplied.is_none() && writes::needs_version(server, of.name());
    for _ in 0..TRIES {
        let (target, may_create) = writes::target(server, &call.principal, of, id, supplied).await?;
        let (ready, prepared) = writes::prepare(server, (&call.principal, Action::Update), of, id, resource, edits)?;
        let proved = match call.provenance {
            None => None,
            Some(provenance) => Some(proved(server, call, &ready, provenance).await?),
        };
        let expected = match (target, &proved) {
            _ if must_be_new(call) => Expected::None,
            (Expected::Any, Some((last, _))) => Expected::Last(*last),
            (target, _) => target,
        };
        let update = Change::Update {
            resource: prepared.keeping(writes::kept(server, of, call)),
            expected,
            may_create,
        };
        let set = WriteSet {
            changes: std::iter::once(update)
                .chain(proved.map(|(_, change)| change))
                .collect(),
            ..WriteSet::default()
        };
        match writes::commit(server, set).await {
            Ok(outcomes) => {
                let outcome = outcomes.first().ok_or_else(Failure::unknown_route)?;
                return answer(call, &ready, outcome);
            }
            Err(NotCommitted::Store(CommitError::Conflict { .. })) if must_be_new(call) => {
                let text = format!("Resource type '{of}' with id '{id}' already exists.");
                return Err(Failure::new(StatusCode::PRECONDITION_FAILED, "conflict", text));
            }
            // Somebody else was faster, and the Provenance would name the wrong version.
            Err(NotCommitted::Store(CommitError::Conflict { .. })) if supplied.is_none() && !must_name => {}
            Err(error) => return Err(writes::refusal(server, error, supplied)),
        }
    }
    Err(Failure::unavailable(
        "The resource is being changed by others, try again.",
    ))
}

/// `If-None-Match: *`: the update shall create.
fn must_be_new(call: &Call<'_>) -> bool {
    let tags = call.conditions.if_none_match.as_deref();
    tags.is_some_and(|tags| tags.trim() == "*")
}

/// The last version that there is, and the Provenance of the one that comes next; a write without effect makes none.
async fn proved(
    server: &Server,
    call: &Call<'_>,
    ready: &Ready,
    provenance: &Document,
) -> Result<(Option<u32>, Change)> {
    let last = server
        .store
        .read(ready.of.name(), &ready.id)
        .await
        .map_err(|error| search::storage(&error))?;
    let next = match &last {
        None => 1,
        Some(last) if last.kind != Kind::Deleted && last.body == ready.body(last.version, last.last_updated) => {
            last.version
        }
        Some(last) => last.version + 1,
    };
    let target = format!("{}/{}", ready.of, ready.id);
    let change = writes::provenance::change(server, &call.principal, provenance, &target, next)?;
    Ok((last.map(|last| last.version), change))
}

/// Updates what the criteria find: none creates, several are refused.
pub async fn conditional(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Update, of)?;
    call.principal.require(Action::Search, of)?;
    let resource = call
        .resource
        .ok_or_else(|| Failure::invalid("The request has no resource."))?;
    writes::validate(server, call, of, resource).await?;
    let mut edits = Edits::default();
    writes::conditional(server, resource, &call.principal, &mut edits).await?;
    let own_id = resource.text_of("id");
    for _ in 0..TRIES {
        let search = writes::criteria(server, of, &call.query, &call.principal).await?;
        let search = search.ok_or_else(|| writes::no_criteria(of.name()))?;
        let page = search::page(server, &search.plan, 2, None).await?;
        match page.entries.as_slice() {
            [only] => {
                if let Some(own) = own_id.as_deref().filter(|own| *own != only.id) {
                    let found = &only.id;
                    let text = format!("Found result with Id '{found}', which did not match the provided Id '{own}'.");
                    return Err(Failure::invalid(text));
                }
                return put(server, call, of, &only.id, resource, &edits).await;
            }
            [] => {
                // Somebody else may create a match meanwhile: the criteria are proved again where it is decided.
                let id = own_id.as_deref().map_or_else(create::new_id, str::to_owned);
                let (action, expected, may_create) = match &own_id {
                    None => (Action::Create, Expected::Any, true),
                    Some(_) => {
                        let (expected, may_create) = writes::target(server, &call.principal, of, &id, None).await?;
                        (Action::Update, expected, may_create)
                    }
                };
                let (ready, resource) = writes::prepare(server, (&call.principal, action), of, &id, resource, &edits)?;
                let proved = match call.provenance {
                    None => None,
                    Some(provenance) => Some(proved(server, call, &ready, provenance).await?.1),
                };
                let change = if own_id.is_some() {
                    Change::Update {
                        resource,
                        expected,
                        may_create,
                    }
                } else {
                    Change::Create { resource }
                };
                let guard = writes::guard(vec![search.plan.clone()]);
                let set = WriteSet {
                    guard,
                    changes: std::iter::once(change).chain(proved).collect(),
                    ..WriteSet::default()
                };
                match writes::commit(server, set).await {
                    Ok(outcomes) => {
                        let outcome = outcomes.first().ok_or_else(Failure::unknown_route)?;
                        return answer(call, &ready, outcome);
                    }
                    Err(NotCommitted::Store(
                        CommitError::Exists(_) | CommitError::Conflict { .. } | CommitError::Outdated(_),
                    )) => {}
                    Err(NotCommitted::Store(CommitError::NotSelective)) => {
                        return Err(writes::not_selective(of.name()));
                    }
                    Err(error) => return Err(writes::refusal(server, error, None)),
                }
            }
            _ => return Err(writes::not_selective(of.name())),
        }
    }
    Err(Failure::unavailable(
        "The resource is being changed by others, try again.",
    ))
}

/// What a write answers.
pub fn answer(call: &Call<'_>, ready: &Ready, outcome: &Outcome) -> Result<Reply> {
    let written = writes::written(outcome).ok_or_else(|| Failure::not_found(ready.of.name(), &ready.id))?;
    let (version, last_updated) = (written.version, written.last_updated);
    let created = matches!(outcome, Outcome::Created(_));
    let reply = Reply {
        status: if created { StatusCode::CREATED } else { StatusCode::OK },
        version: Some(version),
        last_modified: Some(last_updated),
        location: Some(format!("{}/{}/{}/_history/{version}", call.base, ready.of, ready.id)),
        ..Reply::default()
    };
    if call.prefer.returns == Some(Return::Minimal) {
        return Ok(reply);
    }
    Ok(returned(
        call,
        Reply {
            body: ready.body(version, last_updated),
            ..reply
        },
    ))
}

/// What `Prefer: return` makes of an answer with a resource.
pub fn returned(call: &Call<'_>, reply: Reply) -> Reply {
    match call.prefer.returns.unwrap_or_default() {
        Return::Representation => reply,
        Return::Minimal => Reply {
            body: Vec::new(),
            ..reply
        },
        Return::Outcome => reply.informs("All OK"),
    }
}

/// What `Prefer: return` makes of an answer that has no resource: a deletion's.
pub fn removed(call: &Call<'_>, reply: Reply) -> Reply {
    if call.prefer.returns != Some(Return::Outcome) {
        return reply;
    }
    Reply {
        status: StatusCode::OK,
        ..reply.informs("All OK")
    }
}
