//! Bundles: what is common to both kinds, and batches, whose entries succeed or fail by themselves.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_resource::{Node, temporal};
use futures::StreamExt;
use http::{Method, StatusCode};
use uuid::Uuid;

use super::{single, transaction};
use crate::http::call::{self, Call, Conditions};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::negotiation::Wanted;
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;

/// Entries of a batch that are worked on at a time, so that their commits share an fsync.
const AT_A_TIME: usize = 32;

/// Bytes of an entry's answer beside its resource, or about so many.
pub const OF_ENTRY: usize = 256;

/// One entry that can be carried out.
pub struct Entry<'a> {
    /// Its `fullUrl`.
    pub full_url: Option<String>,
    /// What it asks for.
    pub interaction: Interaction,
    /// The same as a request.
    pub call: Call<'a>,
}

impl Entry<'_> {
    /// What it writes, as far as its request says: a resource, or whatever its criteria find.
    pub fn written(&self) -> Option<String> {
        let call = &self.call;
        let query = |query: &str| format!("{}?{query}", call.path.join("/"));
        match &self.interaction {
            Interaction::Create(_) => call.conditions.if_none_exist.as_deref().map(query),
            Interaction::Update(..) | Interaction::Patch(..) | Interaction::Delete(..) => Some(call.path.join("/")),
            Interaction::ConditionalUpdate(_)
            | Interaction::ConditionalPatch(_)
            | Interaction::ConditionalDelete(_) => {
                let pairs = call.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                Some(query(&call::query_string(pairs)))
            }
            _ => None,
        }
    }
}

/// Carries out a batch or a transaction.
pub async fn bundle(server: &Arc<Server>, call: &Call<'_>) -> Result<Reply> {
    let root = call
        .resource
        .filter(|root| root.text_of("resourceType").is_some_and(|name| name == "Bundle"));
    let root =
        root.ok_or_else(|| Failure::invalid("Only a bundle can be submitted for batch or transaction processing."))?;
    let kind = root.text_of("type");
    let unsupported = "The provided Bundle type is not supported. Supported values are: batch and transaction.";
    let is_transaction = match kind.as_deref() {
        Some("batch") => false,
        Some("transaction") => true,
        Some(_) => return Err(Failure::invalid(unsupported)),
        None => {
            let text = "Bundle type is not present. Possible values are: transaction or batch";
            return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "forbidden", text));
        }
    };
    if is_transaction && !server.limits.transaction_bundles() {
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "forbidden", unsupported));
    }
    let nodes: Vec<Node<'_>> = root.get("entry").into_iter().flat_map(Node::items).collect();
    let limit = usize::try_from(server.limits.bundle_entries()).unwrap_or(usize::MAX);
    if nodes.len() > limit {
        let text = format!("The number of entries in the bundle exceeded the configured limit of {limit}.");
        return Err(Failure::invalid(text));
    }
    let entries: Vec<Result<Entry<'_>>> = nodes.into_iter().map(|node| entry(server, call, node)).collect();
    if is_transaction {
        let entries = entries.into_iter().collect::<Result<Vec<_>>>()?;
        return transaction::transaction(server, entries).await;
    }
    let mut answers: Vec<Option<Reply>> = entries.iter().map(|_| None).collect();
    for phase in 0..=LAST_PHASE {
        let work = by_resource(&entries, phase).into_iter().map(|indexes| {
            let entries = &entries;
            async move {
                let mut replies = Vec::with_capacity(indexes.len());
                for index in indexes {
                    let answered = match entries.get(index) {
                        Some(Ok(entry)) => Box::pin(single(server, &entry.interaction, &entry.call)).await,
                        Some(Err(failure)) => Err(failure.clone()),
                        None => continue,
                    };
                    replies.push((index, answered.unwrap_or_else(|failure| Reply::from(&failure))));
                }
                replies
            }
        });
        let mut work = futures::stream::iter(work.collect::<Vec<_>>()).buffer_unordered(AT_A_TIME);
        while let Some(replies) = work.next().await {
            for (index, reply) in replies {
                if let Some(place) = answers.get_mut(index) {
                    *place = Some(reply);
                }
            }
        }
    }
    let bytes = answers.iter().flatten().map(|reply| reply.body.len() + OF_ENTRY).sum();
    let mut response = Response::begin("batch-response", bytes);
    for answer in answers {
        response.push(&answer.unwrap_or_default());
    }
    Ok(response.finish())
}

/// Bundles aren't entries of bundles.
pub fn nested() -> Result<Reply> {
    Err(Failure::invalid(
        "A bundle can't be an entry of a batch or transaction.",
    ))
}

/// The entries of a phase: those that may write the same resource follow each other, in the order of the bundle; the others
/// go side by side.
fn by_resource(entries: &[Result<Entry<'_>>], phase: u8) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref().ok();
        if phase_of(entry) != phase {
            continue;
        }
        let written = entry.and_then(Entry::written);
        let place = written.map_or(groups.len(), |written| *places.entry(written).or_insert(groups.len()));
        match groups.get_mut(place) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

const LAST_PHASE: u8 = 4;

/// DELETE, POST, PUT, PATCH, GET, whatever the order of the entries.
pub fn phase_of(entry: Option<&Entry<'_>>) -> u8 {
    match entry.map(|entry| &entry.call.method) {
        Some(&Method::DELETE) => 0,
        Some(&Method::POST) => 1,
        Some(&Method::PUT) => 2,
        Some(&Method::PATCH) => 3,
        _ => LAST_PHASE,
    }
}

fn entry<'a>(server: &Server, bundle: &Call<'a>, node: Node<'a>) -> Result<Entry<'a>> {
    let request = node
        .get("request")
        .ok_or_else(|| Failure::invalid("An entry of a batch or transaction needs a `request`."))?;
    let method = verb(request)?;
    let url = request
        .text_of("url")
        .ok_or_else(|| Failure::invalid("The `request` of an entry needs a `url`."))?;
    let url = url.strip_prefix(&*bundle.base).unwrap_or(&url);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let path = call::segments(path);
    let interaction = Interaction::of(&method, &path, server.definitions);
    let interaction = interaction.map_err(|failure| failure.of_route(url))?;
    if interaction == Interaction::OpenApi {
        // its answer is no resource, which an entry must hold
        return Err(Failure::unknown_route());
    }
    let text = |name: &str| request.text_of(name).map(std::borrow::Cow::into_owned);
    Ok(Entry {
        full_url: node.text_of("fullUrl").map(std::borrow::Cow::into_owned),
        call: Call {
            method,
            path,
            query: call::pairs(query),
            conditions: Conditions {
                if_match: text("ifMatch"),
                if_none_match: text("ifNoneMatch"),
                if_none_exist: text("ifNoneExist"),
                if_modified_since: text("ifModifiedSince"),
            },
            prefer: bundle.prefer,
            wanted: Wanted::default(),
            base: Arc::clone(&bundle.base),
            principal: Arc::clone(&bundle.principal),
            resource: node.get("resource"),
            provenance: None,
        },
        interaction,
    })
}

/// What an entry's request does; source of the verbs: <http://hl7.org/fhir/http-verb>.
fn verb(request: Node<'_>) -> Result<Method> {
    let method = request
        .text_of("method")
        .ok_or_else(|| Failure::invalid("The `request` of an entry needs a `method`."))?;
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    known.into_iter().find(|known| known.as_str() == method).ok_or_else(|| {
        Failure::invalid(format!(
            "The `method` '{method}' of an entry is none: use GET, HEAD, POST, PUT, PATCH or DELETE."
        ))
    })
}

/// The bundle that answers a bundle, in the making: each answer is written as it comes, and needs no room of its own then.
pub struct Response(Json);

impl Response {
    /// Begins one of a kind, with room for `bytes`.
    pub fn begin(kind: &str, bytes: usize) -> Self {
        let mut json = Json::with_capacity(bytes + 256);
        json.open(b'{')
            .member("resourceType", "Bundle")
            .member("id", &Uuid::new_v4().to_string())
            .member("type", kind)
            .name("entry")
            .open(b'[');
        Self(json)
    }

    /// The answer to the next entry.
    pub fn push(&mut self, reply: &Reply) {
        answered(&mut self.0, reply);
    }

    /// The whole.
    pub fn finish(mut self) -> Reply {
        self.0.close(b']').close(b'}');
        Reply::ok(self.0.finish())
    }
}

fn answered(json: &mut Json, reply: &Reply) {
    json.object(|json| {
        if !reply.body.is_empty() && !reply.tells {
            json.name("resource").raw(&reply.body);
        }
        json.name("response").object(|json| {
            json.member("status", reply.status.as_str());
            if let Some(location) = &reply.location {
                json.member("location", location);
            }
            if let Some(etag) = reply.etag() {
                json.member("etag", &etag);
            }
            if let Some(moment) = reply.last_modified {
                json.member("lastModified", &temporal::instant(moment));
            }
            if reply.tells {
                json.name("outcome").raw(&reply.body);
            }
        });
    });
}
