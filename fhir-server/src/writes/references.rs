//! References that have to be resolved before a resource is written: conditional ones (`Patient?identifier=…`), and in
//! transactions those by `fullUrl`.

use std::collections::HashMap;

use fhir_definitions::ResourceType;
use fhir_resource::Node;
use fhir_resource::edit::Edits;
use fhir_search::parse::Target;
use fhir_search::{Handling, Search};

use crate::access::Principal;
use crate::http::call::{self, Pairs};
use crate::http::failure::{Failure, Result};
use crate::server::Server;
use crate::terminology;

/// What the references of a transaction's own entries become: fullUrl → `Type/id`.
pub type Resolved = HashMap<String, String>;

/// How a write is done, beside its criteria.
pub const META_HISTORY: &str = "_meta-history";

/// The search that criteria stand for; `None` if they say nothing that narrows it.
pub async fn criteria(
    server: &Server,
    of: ResourceType,
    pairs: &Pairs,
    principal: &Principal,
) -> Result<Option<Search>> {
    let says_what = |(name, value): &&(String, String)| !value.is_empty() && name != META_HISTORY;
    let meaningful: Pairs = pairs.iter().filter(says_what).cloned().collect();
    let target = Target::Type(of);
    let search =
        terminology::search::parse(server, &target, &meaningful, Handling::Lenient, &principal.visible()).await?;
    let narrows = |(name, _): &(String, String)| {
        !matches!(
            name.as_str(),
            "_count" | "_sort" | "_total" | "_summary" | "_elements" | "_format" | "_pretty"
        )
    };
    // A criterion that was ignored must not widen what a write is done to.
    let all_used = search.warnings.is_empty();
    Ok(search
        .applied
        .iter()
        .any(narrows)
        .then_some(search)
        .filter(|_| all_used))
}

/// Every string member `reference` in `node`, at any depth.
fn each_reference<'a>(node: Node<'a>, visit: &mut dyn FnMut(Node<'a>) -> Result<()>) -> Result<()> {
    for (name, value) in node.entries() {
        if name == "reference" && value.as_str().is_some() {
            visit(value)?;
        } else {
            each_reference(value, visit)?;
        }
    }
    node.items().try_for_each(|item| each_reference(item, visit))
}

/// Members that are a `uri`, `url`, `oid` or `uuid`: in a transaction they lead to its entries, too.
const LINKS: &[&str] = &[
    "url",
    "uri",
    "valueUri",
    "valueUrl",
    "valueOid",
    "valueUuid",
    "instantiatesUri",
];
/// How entries are named that have no place yet. Other URLs may be what a resource is known by, which stays.
const PLACEHOLDER: &str = "urn:";

/// Plans the edits for links to other entries of a transaction that aren't references: in elements, and in the narrative.
fn links(node: Node<'_>, resolved: &Resolved, edits: &mut Edits) {
    for (name, value) in node.entries() {
        match value.as_str() {
            Some(text) if LINKS.contains(&&*name) && text.starts_with(PLACEHOLDER) => {
                if let Some(target) = resolved.get(&*text) {
                    edits.replace(value, target.clone());
                }
            }
            Some(text) if name == "div" && text.contains(PLACEHOLDER) => {
                let linked = linked(&text, resolved);
                if linked != *text {
                    edits.replace(value, linked);
                }
            }
            Some(_) => {}
            None => links(value, resolved, edits),
        }
    }
    for item in node.items() {
        links(item, resolved, edits);
    }
}

/// A narrative whose links to other entries lead there.
fn linked(narrative: &str, resolved: &Resolved) -> String {
    let mut text = narrative.to_owned();
    for (placeholder, target) in resolved.iter().filter(|(name, _)| name.starts_with(PLACEHOLDER)) {
        for (attribute, quote) in [("href", '"'), ("href", '\''), ("src", '"'), ("src", '\'')] {
            let link = |to: &str| format!("{attribute}={quote}{to}{quote}");
            text = text.replace(&link(placeholder), &link(target));
        }
    }
    text
}

/// Plans the edits for references and links to other entries of a transaction.
pub fn rewrite(resource: Node<'_>, resolved: &Resolved, edits: &mut Edits) {
    links(resource, resolved, edits);
    // The closure never fails.
    let _ = each_reference(resource, &mut |node| {
        let text = node.as_str().unwrap_or_default();
        let (bare, fragment) = text
            .split_once('#')
            .map_or((&*text, None), |(bare, rest)| (bare, Some(rest)));
        if let Some(target) = resolved.get(bare) {
            let target = fragment.map_or_else(|| target.clone(), |fragment| format!("{target}#{fragment}"));
            edits.replace(node, target);
        }
        Ok(())
    });
}

/// Plans the edits for conditional references: each must match exactly one resource.
pub async fn conditional(server: &Server, resource: Node<'_>, principal: &Principal, edits: &mut Edits) -> Result<()> {
    let mut found: Vec<(Node<'_>, ResourceType, String)> = Vec::new();
    each_reference(resource, &mut |node| {
        let text = node.as_str().unwrap_or_default();
        // a query of another server's URL is none of ours
        let Some((name, query)) = text.split_once('?').filter(|(name, _)| !name.contains(['/', ':'])) else {
            return Ok(());
        };
        let of = server.definitions.resource_type(name).ok_or_else(|| {
            Failure::invalid(format!(
                "Resource type '{name}' in the reference '{text}' is not supported."
            ))
        })?;
        found.push((node, of, query.to_owned()));
        Ok(())
    })?;
    for (node, of, query) in found {
        let text = node.as_str().unwrap_or_default();
        let search = criteria(server, of, &call::pairs(&query), principal).await?;
        let Some(search) = search else {
            let text = format!("Given conditional reference '{text}' does not resolve to a resource.");
            return Err(Failure::invalid(text));
        };
        let page = crate::interactions::search::page(server, &search.plan, 2, None).await?;
        match page.entries.as_slice() {
            [only] => edits.replace(node, format!("{}/{}", only.resource_type, only.id)),
            [] => {
                let text = format!("Given conditional reference '{text}' does not resolve to a resource.");
                return Err(Failure::invalid(text));
            }
            _ => {
                let text = format!("Given conditional reference '{text}' resolved to multiple resources.");
                return Err(Failure::invalid(text));
            }
        }
    }
    Ok(())
}
