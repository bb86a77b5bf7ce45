//! `$meta`, `$meta-add`, `$meta-delete`: profiles, security labels and tags apart from the rest of a resource.

use fhir_definitions::ResourceType;
use fhir_resource::edit::Edits;
use fhir_resource::{Document, Limits, Node};
use fhir_storage::{Change, CommitError, Expected, Kind, Outcome};

use super::parameters;
use crate::access::Action;
use crate::http::call::{Call, version_of_etag};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::interactions::update::TRIES;
use crate::interactions::{patch, read};
use crate::server::Server;
use crate::writes::{self, NotCommitted};

/// The lists that can be added to.
const LISTS: [&str; 3] = ["profile", "security", "tag"];

/// The meta of a resource, or of one of its versions.
pub async fn of_instance(server: &Server, call: &Call<'_>, of: ResourceType, id: &str) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let access = call.principal.access(Action::Read);
    let current = read::seen(server, &access, of.name(), id).await?;
    let current = current.ok_or_else(|| Failure::not_found(of.name(), id))?;
    if current.kind == Kind::Deleted {
        return Err(Failure::gone(of.name(), id, current.version));
    }
    Ok(Reply {
        version: Some(current.version),
        last_modified: Some(current.last_updated),
        ..shown(&current.body)?
    })
}

/// What is done with the lists of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// `$meta-add`
    Add,
    /// `$meta-delete`
    Delete,
}

/// Adds to the lists of a resource, or takes from them; without effect where nothing changes.
pub async fn edit(server: &Server, call: &Call<'_>, of: ResourceType, id: &str, edit: Edit) -> Result<Reply> {
    call.principal.require(Action::Update, of)?;
    let supplied = call.conditions.if_match.as_deref().map(version_of_etag).transpose()?;
    if supplied.is_none() && writes::needs_version(server, of.name()) {
        return Err(writes::version_required(of.name()));
    }
    let given = parameters::of(call)?.into_iter();
    let mut given = given.filter(|parameter| parameter.text_of("name").as_deref() == Some("meta"));
    let given = given.find_map(|parameter| parameter.get("valueMeta"));
    let given = given.ok_or_else(|| Failure::invalid("The parameter `meta` with a `valueMeta` is required."))?;
    let who = (&*call.principal, Action::Update);
    for _ in 0..TRIES {
        let current = patch::current(server, &call.principal, of, id).await?;
        let before = Document::parse(current.body.clone(), Limits::default())?;
        let after = Document::parse(with_meta(before.root(), given, edit), Limits::default())?;
        writes::validate(server, call, of, after.root()).await?;
        let (ready, resource) = writes::prepare(server, who, of, id, after.root(), &Edits::NONE)?;
        let change = Change::Update {
            resource: resource.keeping(writes::kept(server, of, call)),
            expected: Expected::Version(supplied.unwrap_or(current.version)),
            may_create: false,
        };
        match writes::commit_one(server, change).await {
            Ok(Outcome::Created(written) | Outcome::Updated(written) | Outcome::Unchanged(written)) => {
                return Ok(Reply {
                    version: Some(written.version),
                    last_modified: Some(written.last_updated),
                    ..shown(&ready.body(written.version, written.last_updated))?
                });
            }
            Ok(_) => return Err(Failure::not_found(of.name(), id)),
            Err(NotCommitted::Store(CommitError::Conflict { .. })) if supplied.is_none() => {}
            Err(error) => return Err(writes::refusal(server, error, supplied)),
        }
    }
    Err(Failure::unavailable(
        "The resource is being changed by others, try again.",
    ))
}

/// The meta of a body as a Parameters resource.
fn shown(body: &[u8]) -> Result<Reply> {
    let document = Document::parse(body.to_vec(), Limits::default())?;
    let meta = document.root().get("meta").map_or("{}", Node::raw).as_bytes().to_vec();
    Ok(Reply::ok(answer(&meta)))
}

/// The Parameters that hold a meta.
pub fn answer(meta: &[u8]) -> Vec<u8> {
    let mut json = Json::with_capacity(256 + meta.len());
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(|json| {
            json.object(|json| {
                json.member("name", "return").name("valueMeta").raw(meta);
            });
        });
    });
    json.finish()
}

/// The resource with other lists; everything else stays as it is written.
fn with_meta(resource: Node<'_>, given: Node<'_>, edit: Edit) -> Vec<u8> {
    let meta = resource.get("meta");
    let mut json = Json::with_capacity(resource.raw().len() + given.raw().len() + 16);
    json.object(|json| {
        for (name, value) in resource.entries().filter(|(name, _)| name != "meta") {
            json.name(&name).raw(value.raw().as_bytes());
        }
        json.name("meta").object(|json| {
            let others = meta.into_iter().flat_map(Node::entries);
            for (name, value) in others.filter(|(name, _)| !LISTS.contains(&&**name)) {
                json.name(&name).raw(value.raw().as_bytes());
            }
            for name in LISTS {
                let own = meta.and_then(|meta| meta.get(name)).into_iter().flat_map(Node::each);
                let own: Vec<Node<'_>> = own.collect();
                let given: Vec<Node<'_>> = given.get(name).into_iter().flat_map(Node::each).collect();
                let kept: Vec<Node<'_>> = match edit {
                    Edit::Add => {
                        let new = given
                            .into_iter()
                            .filter(|item| !own.iter().any(|own| is_same(*own, *item)));
                        let new: Vec<_> = new.collect();
                        own.into_iter().chain(new).collect()
                    }
                    Edit::Delete => {
                        let gone = |own: &Node<'_>| given.iter().any(|item| is_same(*own, *item));
                        own.into_iter().filter(|own| !gone(own)).collect()
                    }
                };
                if !kept.is_empty() {
                    json.name(name).array(|json| {
                        for item in kept {
                            json.raw(item.raw().as_bytes());
                        }
                    });
                }
            }
        });
    });
    json.finish()
}

/// Whether two items of a list say the same: labels and tags by system and code, profiles by their text.
fn is_same(a: Node<'_>, b: Node<'_>) -> bool {
    if a.is_object() && b.is_object() {
        let part = |node: Node<'_>, name: &str| node.text_of(name).unwrap_or_default().into_owned();
        return ["system", "code"].iter().all(|name| part(a, name) == part(b, name));
    }
    a.as_str().is_some() && a.as_str() == b.as_str()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(Edit::Add, json!({"tag": [{"code": "b"}, {"system": "s", "code": "a", "display": "A"}]}),
        json!({"source": "x", "profile": ["p"], "tag": [{"system": "s", "code": "a"}, {"code": "b"}]}))]
    #[case(Edit::Add, json!({"profile": ["p", "q"]}),
        json!({"source": "x", "profile": ["p", "q"], "tag": [{"system": "s", "code": "a"}]}))]
    #[case(Edit::Delete, json!({"tag": [{"system": "s", "code": "a"}], "profile": ["q"], "security": [{"code": "R"}]}),
        json!({"source": "x", "profile": ["p"]}))]
    fn lists_are_edited(#[case] edit: Edit, #[case] given: Value, #[case] expected: Value) {
        let parse = |text: &str| Document::parse(text.to_owned(), Limits::default()).expect("JSON");
        let resource = parse(
            r#"{"resourceType":"Patient","meta":{"source":"x","profile":["p"],"tag":[{"system":"s","code":"a"}]},"id":"1"}"#,
        );
        let given = parse(&given.to_string());
        let after: Value = serde_json::from_slice(&with_meta(resource.root(), given.root(), edit)).expect("JSON");
        assert_eq!(after["meta"], expected);
        assert_eq!(after["id"], "1");
    }
}
