//! `$meta` of a type and of the service: the profiles, security labels and tags that are in use.
//!
//! They are read from the index, which has each of them once; a type, and who doesn't see everything, costs a search for
//! each. Labels come without their displays, which the index doesn't have.

use fhir_definitions::ResourceType;
use fhir_search::{Access, Filter, ParamId, Plan, Sort, key};
use http::StatusCode;

use super::meta;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::interactions::search;
use crate::server::Server;

/// The most values of a list: what has more isn't a summary.
const MOST: usize = 1_000;

/// The meta that a type has, or the whole service.
pub async fn in_use(server: &Server, call: &Call<'_>, of: Option<ResourceType>) -> Result<Reply> {
    if let Some(of) = of {
        call.principal.require(Action::Search, of)?;
    }
    let mut lists = Vec::new();
    for (name, code) in [("profile", "_profile"), ("security", "_security"), ("tag", "_tag")] {
        let parameter = server.parameters.load().find_common(code);
        let param = ParamId::of(parameter.ok_or_else(Failure::unknown_route)?);
        lists.push((name, values(server, call, of, param).await?));
    }
    let mut json = Json::with_capacity(1024);
    json.object(|json| {
        for (name, values) in lists.iter().filter(|(_, values)| !values.is_empty()) {
            json.name(name).array(|json| {
                for value in values {
                    value.write(json);
                }
            });
        }
    });
    Ok(Reply::ok(meta::answer(&json.finish())))
}

/// A member of one of the lists.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Profile(String),
    Label { system: String, code: String },
}

impl Value {
    /// What a key says; `None` for keys that say a part.
    fn of(key: &str) -> Option<Self> {
        if key.starts_with(key::URI) {
            return Some(Self::Profile(key::text(key).to_owned()));
        }
        let (system, code) = key::parts(key)?;
        Some(Self::Label {
            system: system.to_owned(),
            code: code.to_owned(),
        })
    }

    fn write(&self, json: &mut Json) {
        match self {
            Self::Profile(url) => {
                json.text(url);
            }
            Self::Label { system, code } => {
                json.object(|json| {
                    if !system.is_empty() {
                        json.member("system", system);
                    }
                    json.member("code", code);
                });
            }
        }
    }
}

/// The values of a parameter that are seen, sorted.
async fn values(server: &Server, call: &Call<'_>, of: Option<ResourceType>, param: ParamId) -> Result<Vec<Value>> {
    let keys = server.store.used(param, MOST + 1, server.effort()).await;
    let keys = keys.map_err(|error| search::storage(&error))?;
    if keys.len() > MOST {
        let text = format!("More than {MOST} profiles, labels or tags are in use: search by `_summary=count` instead.");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "too-costly", text));
    }
    let visible = call.principal.visible();
    let is_all = of.is_none() && visible == Access::All;
    let mut values = Vec::new();
    for key in keys {
        let Some(value) = Value::of(&key) else { continue };
        if is_all || is_seen(server, &visible, of, Filter::Exact(param, vec![key])).await? {
            values.push(value);
        }
    }
    values.sort_unstable();
    Ok(values)
}

/// Whether a filter finds anything that is seen.
async fn is_seen(server: &Server, visible: &Access, of: Option<ResourceType>, filter: Filter) -> Result<bool> {
    let mut plan = Plan {
        types: of.into_iter().map(|of| of.name().to_owned()).collect(),
        filters: vec![filter],
        sort: Sort::Creation,
    };
    visible.limit(&mut plan);
    let page = search::page(server, &plan, 1, None).await?;
    Ok(!page.entries.is_empty())
}
