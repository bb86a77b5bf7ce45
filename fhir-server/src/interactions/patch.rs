//! patch, also conditional: JSON Patch (as itself, or in a Binary inside bundles) and FHIRPath Patch (Parameters).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fhir_definitions::ResourceType;
use fhir_resource::edit::Edits;
use fhir_resource::{Document, Limits, Node, patch};
use fhir_storage::{Change, CommitError, Expected, Kind, Version};
use http::StatusCode;

use super::update::{self, TRIES};
use super::{read, search};
use crate::access::{Action, Principal};
use crate::http::call::{Call, version_of_etag};
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes::{self, NotCommitted};

/// Changes a part of a resource.
pub async fn patch(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Update, of)?;
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    if supplied.is_none() && writes::needs_version(server, of.name()) {
        return Err(writes::version_required(of.name()));
    }
    for _ in 0..TRIES {
        let current = current(server, &call.principal, of, id).await?;
        if let Some(supplied) = supplied.filter(|supplied| *supplied != current.version) {
            return Err(conflict(supplied));
        }
        let patched = patched(server, &current, call)?;
        let resource = patched.root();
        writes::validate(server, call, of, resource).await?;
        let mut edits = Edits::default();
        writes::conditional(server, resource, &call.principal, &mut edits).await?;
        let (ready, resource) = writes::prepare(server, (&call.principal, Action::Update), of, id, resource, &edits)?;
        let change = Change::Update {
            resource: resource.keeping(writes::kept(server, of, call)),
            expected: Expected::Version(current.version),
            may_create: false,
        };
        match (writes::commit_one(server, change).await, supplied) {
            (Ok(outcome), _) => return update::answer(call, &ready, &outcome),
            (Err(NotCommitted::Store(CommitError::Conflict { .. })), Some(supplied)) => return Err(conflict(supplied)),
            (Err(NotCommitted::Store(CommitError::Conflict { .. })), None) => {}
            (Err(error), _) => return Err(writes::refusal(server, error, None)),
        }
    }
    Err(Failure::unavailable(
        "The resource is being changed by others, try again.",
    ))
}

/// Changes a part of the only resource that the criteria find.
pub async fn conditional(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Update, of)?;
    call.principal.require(Action::Search, of)?;
    let search = writes::criteria(server, of, &call.query, &call.principal).await?;
    let search = search.ok_or_else(|| writes::not_selective(of.name()))?;
    let page = search::page(server, &search.plan, 2, None).await?;
    match page.entries.as_slice() {
        [only] => patch(server, call, of, &only.id).await,
        [] => Err(nothing_found(of)),
        _ => Err(writes::not_selective(of.name())),
    }
}

/// 404 for criteria that find nothing to patch.
pub fn nothing_found(of: ResourceType) -> Failure {
    let text = format!("No resource of type '{of}' was found with the criteria.");
    Failure::new(StatusCode::NOT_FOUND, "not-found", text)
}

/// The version that is patched.
pub async fn current(server: &Server, principal: &Principal, of: ResourceType, id: &str) -> Result<Version> {
    let found = read::seen(server, &principal.access(Action::Update), of.name(), id).await?;
    let version = found.ok_or_else(|| Failure::not_found(of.name(), id))?;
    if version.kind == Kind::Deleted {
        return Err(Failure::gone(of.name(), id, version.version));
    }
    Ok(version)
}

/// What the patch of a call makes of a version.
pub fn patched(server: &Server, current: &Version, call: &Call<'_>) -> Result<Document> {
    let operations = call
        .resource
        .ok_or_else(|| Failure::invalid("The request has no patch."))?;
    let before = Document::parse(current.body.clone(), Limits::default())?;
    let after = match operations.text_of("resourceType").as_deref() {
        Some("Binary") => {
            let inner = in_binary(operations)?;
            apply(server, before.root(), inner.root())?
        }
        _ => apply(server, before.root(), operations)?,
    };
    if patch::keeps_immutable(before.root(), after.root()) {
        Ok(after)
    } else {
        Err(Failure::invalid("Patching immutable properties is not allowed."))
    }
}

fn apply(server: &Server, resource: Node<'_>, operations: Node<'_>) -> Result<Document> {
    let patched = if operations.is_array() {
        patch::json(resource, operations)
    } else {
        patch::fhirpath(server.definitions, resource, operations)
    };
    patched.map_err(|error| Failure::invalid(error.to_string()))
}

/// The patch in a Binary, as entries of bundles have it.
fn in_binary(binary: Node<'_>) -> Result<Document> {
    let data = binary.text_of("data").or_else(|| binary.text_of("content"));
    let bytes = data.and_then(|data| STANDARD.decode(data.as_bytes()).ok());
    let bytes = bytes.ok_or_else(|| Failure::invalid("The Binary of a patch entry needs base64 `data`."))?;
    Ok(Document::parse(bytes, Limits::default())?)
}

/// 412, for both versions of FHIR.
fn conflict(supplied: u32) -> Failure {
    let text = format!("The supplied version '{supplied}' did not match.");
    Failure::new(StatusCode::PRECONDITION_FAILED, "conflict", text)
}
