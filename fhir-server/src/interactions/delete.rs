//! delete: by id or by criteria, soft or hard.

use fhir_definitions::ResourceType;
use fhir_search::Sight;
use fhir_storage::{Change, CommitError, Expected, Outcome};
use http::StatusCode;

use super::update::TRIES;
use super::{read, search};
use crate::access::Action;
use crate::http::call::{Call, Pairs, version_of_etag};
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes::{self, NotCommitted};

/// The most resources that one conditional delete takes.
const MOST: usize = 100;
const HARD: [&str; 2] = ["_hardDelete", "hardDelete"];

/// Deletes a resource; one that isn't there is deleted already.
pub async fn delete(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    require(call, of)?;
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    let outcome = remove(server, call, of, id, supplied).await?;
    let version = writes::written(&outcome).map(|written| written.version);
    Ok(Reply {
        version,
        ..Reply::empty(StatusCode::NO_CONTENT)
    })
}

/// What the request does to a resource.
fn action(call: &Call<'_>) -> Action {
    if call.flag(&HARD) {
        Action::HardDelete
    } else {
        Action::Delete
    }
}

/// Refuses whoever may not delete as it is asked for.
pub fn require(call: &Call<'_>, of: ResourceType) -> Result<()> {
    let values = HARD.iter().filter_map(|name| Some((name, call.parameter(name)?)));
    for (name, value) in values {
        if !["true", "false"].iter().any(|known| value.eq_ignore_ascii_case(known)) {
            let text = format!(
                "The '{name}' parameter value '{value}' is invalid. The supported values are: 'true', 'false'."
            );
            return Err(Failure::invalid(text));
        }
    }
    call.principal.require(action(call), of)
}

/// The change that deletes a resource; `None`: there is nothing that the caller sees.
pub async fn change(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    id: &str,
    supplied: Option<u32>,
) -> Result<Option<Change>> {
    let access = call.principal.access(action(call));
    let mut expected = supplied.map_or(Expected::Any, Expected::Version);
    if access.of(of.name()) != Sight::Everything {
        let Some(seen) = read::seen(server, &access, of.name(), id).await? else {
            return Ok(None);
        };
        expected = Expected::Version(supplied.unwrap_or(seen.version));
    }
    Ok(Some(Change::Delete {
        resource_type: of.name().to_owned(),
        id: id.to_owned(),
        expected,
        hard: call.flag(&HARD),
        kept: writes::kept(server, of, call),
    }))
}

async fn remove(
    server: &Server,
    call: &Call<'_>,
    of: ResourceType,
    id: &str,
    supplied: Option<u32>,
) -> Result<Outcome> {
    for _ in 0..TRIES {
        let Some(change) = change(server, call, of, id, supplied).await? else {
            return Ok(Outcome::AlreadyDeleted);
        };
        match writes::commit_one(server, change).await {
            // it was changed after it was seen
            Err(NotCommitted::Store(CommitError::Conflict { .. })) if supplied.is_none() => {}
            outcome => return outcome.map_err(|error| writes::refusal(server, error, supplied)),
        }
    }
    Err(Failure::unavailable(
        "The resource is being changed by others, try again.",
    ))
}

/// Deletes what the criteria find: one unless `_count` allows more.
pub async fn conditional(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    require(call, of)?;
    call.principal.require(Action::Search, of)?;
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
        let outcome = remove(server, call, of, &entry.id, None).await?;
        deleted += usize::from(outcome != Outcome::AlreadyDeleted);
    }
    Ok(Reply {
        deleted: Some(deleted),
        ..Reply::empty(StatusCode::NO_CONTENT)
    })
}
