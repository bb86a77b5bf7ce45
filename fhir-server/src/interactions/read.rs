//! read and vread, with `If-None-Match` and `If-Modified-Since`.

use fhir_definitions::ResourceType;
use fhir_resource::{Document, Limits};
use fhir_search::parse::Summary;
use fhir_search::{Access, Plan, Sight, Subject};
use fhir_storage::{Kind, Version};
use http::StatusCode;

use super::{search, subset};
use crate::access::Action;
use crate::http::call::{Call, etag};
use crate::http::failure::{Failure, Result};
use crate::http::reply::{Reply, parse_http_date};
use crate::server::Server;

/// The current version; 410 when it is deleted.
pub async fn read(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let found = seen(server, &call.principal.access(Action::Read), of.name(), id).await?;
    let version = found.ok_or_else(|| Failure::not_found(of.name(), id))?;
    if version.kind == Kind::Deleted {
        return Err(Failure::gone(of.name(), id, version.version));
    }
    if is_known(call, &version) {
        return Ok(Reply {
            status: StatusCode::NOT_MODIFIED,
            body: Vec::new(),
            ..of_version(version)
        });
    }
    shown(server, call, of_version(version))
}

/// One version; 410 for the one that deleted the resource.
pub async fn version(server: &Server, call: &Call<'_>, of: ResourceType, id: &str, wanted: &str) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let missing = || Failure::version_not_found(of.name(), id, wanted);
    let number = wanted.parse().map_err(|_| missing())?;
    let access = call.principal.access(Action::Read);
    let whole = access.of(of.name()) == Sight::Everything;
    // who doesn't see a resource as it is now doesn't see what it was
    if !whole && seen(server, &access, of.name(), id).await?.is_none() {
        return Err(missing());
    }
    let found = server
        .store
        .version(of.name(), id, number)
        .await
        .map_err(|error| search::storage(&error))?;
    let version = found.filter(|version| whole || admits(server, &access, version));
    let version = version.ok_or_else(missing)?;
    if version.kind == Kind::Deleted {
        return Err(Failure::gone(of.name(), id, version.version));
    }
    shown(server, call, of_version(version))
}

/// The current version, as far as `access` sees it; of a type that is seen whole also one of kind `Deleted`.
pub async fn seen(server: &Server, access: &Access, of: &str, id: &str) -> Result<Option<Version>> {
    let found = match access.of(of) {
        Sight::Nothing => return Ok(None),
        Sight::Everything => server.store.read(of, id).await,
        Sight::Where(filter) => {
            let plan = Plan::of_one(of, id, vec![filter]);
            let page = server.store.search(&plan, 1, None, server.effort()).await;
            page.map(|page| page.entries.into_iter().next())
        }
    };
    found.map_err(|error| search::storage(&error))
}

/// Whether a version at hand, maybe one of the past, is seen by itself.
pub fn admits(server: &Server, access: &Access, version: &Version) -> bool {
    match access.of(&version.resource_type) {
        Sight::Nothing => return false,
        Sight::Everything => return true,
        Sight::Where(_) => {}
    }
    let of = server.definitions.resource_type(&version.resource_type);
    let document = Document::parse(version.body.clone(), Limits::default());
    let Some((of, document)) = of.zip(document.ok()) else {
        return false;
    };
    access.admits(&Subject {
        resource_type: of.name(),
        id: &version.id,
        updated: Some(version.last_updated),
        keys: &server.extractor.keys(of, document.root()),
    })
}

/// A version as an answer.
pub fn of_version(version: Version) -> Reply {
    Reply {
        version: Some(version.version),
        last_modified: Some(version.last_updated),
        ..Reply::ok(version.body)
    }
}

/// `_summary` and `_elements` of a single resource.
pub fn shown(server: &Server, call: &Call<'_>, reply: Reply) -> Result<Reply> {
    if call.parameter("_summary").is_none() && call.parameter("_elements").is_none() {
        return Ok(reply);
    }
    let (summary, elements) = subset::wanted(&call.query)?;
    if summary == Summary::Count {
        return Err(Failure::invalid(
            "The '_summary' parameter value 'count' is for searches only.",
        ));
    }
    if summary == Summary::False && elements.is_empty() {
        return Ok(reply);
    }
    let body = subset::of(server.definitions, reply.body, summary, &elements);
    Ok(Reply { body, ..reply })
}

/// Whether the client has this version already.
fn is_known(call: &Call<'_>, version: &Version) -> bool {
    if let Some(tags) = &call.conditions.if_none_match {
        let own = etag(version.version);
        return tags.split(',').any(|tag| tag.trim() == own || tag.trim() == "*");
    }
    let since = call.conditions.if_modified_since.as_deref().and_then(parse_http_date);
    // HTTP dates have no fractions of a second
    since.is_some_and(|since| version.last_updated.div_euclid(1_000_000) <= since.div_euclid(1_000_000))
}
