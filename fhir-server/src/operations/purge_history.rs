//! `Type/id/$purge-history`: the current version stays, the others go.

use fhir_definitions::ResourceType;
use fhir_search::Sight;
use fhir_storage::{Change, Expected};
use http::StatusCode;

use crate::access::Action;
use crate::http::call::{Call, version_of_etag};
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::interactions::read;
use crate::server::Server;
use crate::writes;

/// Removes superseded versions for good.
pub async fn purge_history(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::HardDelete, of)?;
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    let mut expected = supplied.map_or(Expected::Any, Expected::Version);
    let access = call.principal.access(Action::HardDelete);
    if access.of(of.name()) != Sight::Everything {
        let seen = read::seen(server, &access, of.name(), id).await?;
        let seen = seen.ok_or_else(|| Failure::not_found(of.name(), id))?;
        expected = Expected::Version(supplied.unwrap_or(seen.version));
    }
    let change = Change::PurgeHistory {
        resource_type: of.name().to_owned(),
        id: id.to_owned(),
        expected,
    };
    writes::commit_one(server, change)
        .await
        .map_err(|error| writes::refusal(server, error, supplied))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
