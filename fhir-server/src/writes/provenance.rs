//! `X-Provenance`: a Provenance that is written with the resource, whose target is the version that is written.

use fhir_resource::edit::Edits;
use fhir_resource::{Document, Limits, Node};
use fhir_storage::Change;
use uuid::Uuid;

use super::{check, prepare};
use crate::access::{Action, Principal};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::server::Server;

/// Reads the header.
pub fn parse(header: &str) -> Result<Document> {
    let malformed = || Failure::invalid("X-Provenance header is malformed and can't be parsed");
    let document = Document::parse(header.to_owned(), Limits::default()).map_err(|_| malformed())?;
    if document.root().text_of("resourceType").as_deref() != Some("Provenance") {
        return Err(malformed());
    }
    if document.root().get("target").is_some() {
        let text = "X-Provenance header shall not have a specified `Provenance.target`";
        return Err(Failure::invalid(text));
    }
    Ok(document)
}

/// The change that writes it, for `Type/id` in a version.
pub fn change(
    server: &Server,
    principal: &Principal,
    provenance: &Document,
    target: &str,
    version: u32,
) -> Result<Change> {
    let of = server
        .definitions
        .resource_type("Provenance")
        .ok_or_else(Failure::unknown_route)?;
    principal.require(Action::Create, of)?;
    let text = with_target(provenance.root(), &format!("{target}/_history/{version}"));
    let document = Document::parse(text, Limits::default())?;
    check(server, of, document.root())?;
    let id = Uuid::now_v7().to_string();
    let (_, resource) = prepare(
        server,
        (principal, Action::Create),
        of,
        &id,
        document.root(),
        &Edits::NONE,
    )?;
    Ok(Change::Create { resource })
}

fn with_target(provenance: Node<'_>, target: &str) -> Vec<u8> {
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        for (name, value) in provenance.entries() {
            json.name(&name).raw(value.raw().as_bytes());
        }
        json.name("target").array(|json| {
            json.object(|json| {
                json.member("reference", target);
            });
        });
    });
    json.finish()
}
