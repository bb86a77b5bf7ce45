//! delete: by id or by criteria, soft or hard.

use fhir_definitions::ResourceType;
use fhir_storage::{Change, Expected};
use http::StatusCode;

use super::search;
use crate::access::Action;
use crate::http::call::{Call, Pairs, version_of_etag};
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes;

/// The most resources that one conditional delete takes.
const MOST: usize = 100;
const HARD: [&str; 2] = ["_hardDelete", "hardDelete"];

/// Deletes a resource; one that isn't there is deleted already.
pub async fn delete(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Delete, of)?;
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    let expected = supplied.map_or(Expected::Any, Expected::Version);
    let outcome = remove(server, of, id, expected, call.flag(&HARD)).await;
    let outcome = outcome.map_err(|error| writes::refusal(server, error, supplied))?;
    let version = writes::written(&outcome).map(|written| written.version);
    Ok(Reply {
        version,
        ..Reply::empty(StatusCode::NO_CONTENT)
    })
}

async fn remove(
    server: &Server,
    of: ResourceType,
    id: &str,
    expected: Expected,
    hard: bool,
) -> Result<fhir_storage::Outcome, fhir_storage::CommitError> {
    let change = Change::Delete {
        resource_type: of.name().to_owned(),
        id: id.to_owned(),
        expected,
        hard,
    };
    writes::commit_one(server, change).await
}

/// Deletes what the criteria find: one unless `_count` allows more.
pub async fn conditional(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Delete, of)?;
    let count = match call.parameter("_count") {
        None => None,
        Some(text) => Some(
            text.parse::<usize>()
                .ok()
                .filter(|count| (1..=MOST).contains(count))
                .ok_or_else(|| Failure::invalid(format!("The _count parameter must be between 1 and {MOST}.")))?,
        ),
    };
    let is_criterion = |name: &str| name != "_count" && !HARD.contains(&name);
    let pairs: Pairs = call
        .query
        .iter()
        .filter(|(name, _)| is_criterion(name))
        .cloned()
        .collect();
    let criteria = writes::criteria(server, of, &pairs, &call.principal).await?;
    let criteria = criteria.ok_or_else(|| writes::not_selective(of.name()))?;
    let page = search::page(server, &criteria.plan, count.unwrap_or(2), None).await?;
    if count.is_none() && page.entries.len() > 1 {
        return Err(writes::not_selective(of.name()));
    }
    let mut deleted = 0;
    for entry in page.entries {
        let outcome = remove(server, of, &entry.id, Expected::Any, call.flag(&HARD)).await;
        let outcome = outcome.map_err(|error| writes::refusal(server, error, None))?;
        deleted += usize::from(outcome != fhir_storage::Outcome::AlreadyDeleted);
    }
    Ok(Reply {
        deleted: Some(deleted),
        ..Reply::empty(StatusCode::NO_CONTENT)
    })
}
