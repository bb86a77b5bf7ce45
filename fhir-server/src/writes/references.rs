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

/// A string member, with its name.
type Visit<'v, 'a> = &'v mut dyn FnMut(&str, Node<'a>) -> Result<()>;

/// Every string member of a wanted name in `node`, at any depth.
fn each_text<'a>(node: Node<'a>, wanted: fn(&str) -> bool, visit: Visit<'_, 'a>) -> Result<()> {
    for (name, value) in node.entries() {
        if wanted(&name) && value.as_str().is_some() {
            visit(&name, value)?;
        } else {
            each_text(value, wanted, visit)?;
        }
    }
    node.items().try_for_each(|item| each_text(item, wanted, visit))
}

fn is_reference(name: &str) -> bool {
    name == "reference"
}

/// What leads to other entries of a transaction: references, elements that are a `uri`, `url`, `oid` or `uuid`, and the
/// narrative.
fn leads_on(name: &str) -> bool {
    matches!(
        name,
        "reference"
            | "url"
            | "uri"
            | "valueUri"
            | "valueUrl"
            | "valueOid"
            | "valueUuid"
            | "instantiatesUri"
            | NARRATIVE
    )
}

const NARRATIVE: &str = "div";
/// How entries are named that have no place yet. Other URLs may be what a resource is known by, which stays.
const PLACEHOLDER: &str = "urn:";

/// A narrative whose links to other entries lead there; `None` where it has none.
fn linked(narrative: &str, resolved: &Resolved) -> Option<String> {
    let mut text = String::new();
    let mut copied = 0;
    for (at, _) in narrative.match_indices(PLACEHOLDER) {
        let (before, link) = narrative.split_at(at);
        let Some(quote) = ['"', '\''].into_iter().find(|quote| before.ends_with(*quote)) else {
            continue;
        };
        let attribute = &before[..before.len() - 1];
        if !attribute.ends_with("href=") && !attribute.ends_with("src=") {
            continue;
        }
        let name = link.split(quote).next().unwrap_or(link);
        if let Some(target) = resolved.get(name) {
            text.push_str(&narrative[copied..at]);
            text.push_str(target);
            copied = at + name.len();
        }
    }
    (copied > 0).then(|| text + &narrative[copied..])
}

/// Plans the edits for references and links to other entries of a transaction.
pub fn rewrite(resource: Node<'_>, resolved: &Resolved, edits: &mut Edits) {
    // The closure never fails.
    let _ = each_text(resource, leads_on, &mut |name, node| {
        let text = node.as_str().unwrap_or_default();
        let target = match name {
            NARRATIVE => linked(&text, resolved),
            _ if is_reference(name) => {
                let (bare, fragment) = text
                    .split_once('#')
                    .map_or((&*text, None), |(bare, rest)| (bare, Some(rest)));
                resolved.get(bare).map(|target| match fragment {
                    Some(fragment) => format!("{target}#{fragment}"),
                    None => target.clone(),
                })
            }
            _ if text.starts_with(PLACEHOLDER) => resolved.get(&*text).cloned(),
            _ => None,
        };
        if let Some(target) = target {
            edits.replace(node, target);
        }
        Ok(())
    });
}

/// Plans the edits for conditional references: each must match exactly one resource.
pub async fn conditional(server: &Server, resource: Node<'_>, principal: &Principal, edits: &mut Edits) -> Result<()> {
    let mut found: Vec<(Node<'_>, ResourceType, String)> = Vec::new();
    each_text(resource, is_reference, &mut |_, node| {
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
