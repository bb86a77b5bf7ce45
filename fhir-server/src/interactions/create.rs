//! create, also conditional (`If-None-Exist`).

use fhir_definitions::ResourceType;
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
use crate::writes;

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
    let guard = match &call.conditions.if_none_exist {
        None => None,
        Some(query) => {
            call.principal.require(Action::Search, of)?;
            let search = writes::criteria(server, of, &call::pairs(query), &call.principal).await?;
            let search = search.ok_or_else(|| writes::no_criteria(of.name()))?;
            Some(Guard { plan: search.plan })
        }
    };
    let id = new_id();
    let (ready, prepared) = writes::prepare(server, (&call.principal, Action::Create), of, &id, resource, &edits)?;
    let mut changes = vec![Change::Create { resource: prepared }];
    if let Some(provenance) = call.provenance {
        let target = format!("{of}/{id}");
        let change = writes::provenance::change(server, &call.principal, provenance, &target, 1)?;
        changes.push(change);
    }
    let set = WriteSet { guard, changes };
    match server.store.commit(set).await {
        Ok(outcomes) => {
            let outcome = outcomes.first().ok_or_else(Failure::unknown_route)?;
            update::answer(call, &ready, outcome)
        }
        Err(CommitError::Exists(version)) => {
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
        Err(CommitError::NotSelective) => Err(writes::not_selective(of.name())),
        Err(error) => Err(writes::refusal(server, error, None)),
    }
}
