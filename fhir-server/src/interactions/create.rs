//! create, also conditional (`If-None-Exist`).

use fhir_definitions::ResourceType;
use fhir_resource::Node;
use fhir_resource::edit::Edits;
use fhir_storage::{Change, CommitError, Guard, WriteSet};
use http::StatusCode;
use uuid::Uuid;

use super::{read, update};
use crate::access::Action;
use crate::http::call::{self, Call};
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes::{self, NotCommitted};

/// An id that the server gives: in the order of time, so that neighbours in time are neighbours in the database.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Creates the resource under a new id, unless `If-None-Exist` finds one that is there.
pub async fn create(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Create, of)?;
    let resource = call
        .resource
        .ok_or_else(|| Failure::invalid("The request has no resource."))?;
    writes::validate(server, call, of, resource).await?;
    let mut edits = Edits::default();
    writes::conditional(server, resource, &call.principal, &mut edits).await?;
    let id = new_id();
    for _ in 0..update::TRIES {
        let guard = match &call.conditions.if_none_exist {
            None => None,
            Some(query) => {
                call.principal.require(Action::Search, of)?;
                let search = writes::criteria(server, of, &call::pairs(query), &call.principal).await?;
                let search = search.ok_or_else(|| writes::no_criteria(of.name()))?;
                Some(Guard { plan: search.plan })
            }
        };
        match once(server, call, of, &id, (resource, &edits), guard).await {
            // the criteria are read again
            Err(NotCommitted::Store(CommitError::Outdated(_))) => {}
            Err(NotCommitted::Store(CommitError::NotSelective)) => return Err(writes::not_selective(of.name())),
            Err(error) => return Err(writes::refusal(server, error, None)),
            Ok(reply) => return Ok(reply),
        }
    }
    Err(Failure::unavailable(
        "The search parameters are being changed by others, try again.",
    ))
}

async fn once(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    id: &str,
    (resource, edits): (Node<'_>, &Edits),
    guard: Option<Guard>,
) -> Result<Reply, NotCommitted> {
    let who = (&*call.principal, Action::Create);
    let (ready, prepared) = writes::prepare(server, who, of, id, resource, edits).map_err(NotCommitted::Refused)?;
    let mut changes = vec![Change::Create { resource: prepared }];
    if let Some(provenance) = call.provenance {
        let target = format!("{of}/{id}");
        let change = writes::provenance::change(server, &call.principal, provenance, &target, 1);
        let change = change.map_err(NotCommitted::Refused)?;
        changes.push(change);
    }
    let set = WriteSet {
        guard,
        changes,
        ..WriteSet::default()
    };
    match writes::commit(server, set).await {
        Ok(outcomes) => {
            let outcome = outcomes.first().ok_or_else(Failure::unknown_route);
            let reply = outcome.and_then(|outcome| update::answer(call, &ready, outcome));
            reply.map_err(NotCommitted::Refused)
        }
        Err(NotCommitted::Store(CommitError::Exists(version))) => {
            let location = format!("{}/{}/{}/_history/{}", call.base, of, version.id, version.version);
            let reply = read::of_version(*version);
            Ok(update::returned(
                call,
                Reply {
                    status: StatusCode::OK,
                    location: Some(location),
                    ..reply
                },
            ))
        }
        Err(error) => Err(error),
    }
}
