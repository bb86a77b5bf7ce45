//! `SearchParameter/$status`: which search parameters are searched, and turning them off and on (Azure's selectable search
//! parameters).
//!
//! The rows of one that is turned off stay and are kept: so it takes effect at once, both ways, and needs no reindex.

use std::collections::BTreeMap;

use fhir_definitions::ResourceType;
use fhir_resource::Node;
use fhir_search::{Parameters, Readiness};
use fhir_storage::CommitError;
use http::{Method, StatusCode};

use super::parameters;
use crate::access::Action;
use crate::http::call::{Call, Pairs};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::writes;

/// The parameter for each search parameter.
const STATUS: &str = "searchParameterStatus";
/// What the service itself needs.
const NEEDED: [&str; 2] = ["_id", "_lastUpdated"];
/// How often a change is tried while others change search parameters.
const TRIES: usize = 10;

/// GET and POST show, PUT changes.
pub async fn status(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    if call.method != Method::PUT {
        call.principal.require(Action::Read, of)?;
        let asked = Asked::of(server, &parameters::pairs(call)?)?;
        return shown(&server.parameters.load(), |parameter| asked.fits(parameter));
    }
    call.principal.require(Action::Update, of)?;
    let wanted = wanted(&server.parameters.load(), &parameters::of(call)?)?;
    for _ in 0..TRIES {
        let Some(change) = server.conformance.own().searching(&wanted) else {
            let is_one = |parameter: &Shown<'_>| wanted.iter().any(|(url, _)| url == parameter.url);
            return shown(&server.parameters.load(), is_one);
        };
        match writes::define(server, change).await {
            Ok(()) => {}
            Err(CommitError::Outdated(_)) => {
                let refreshed = server.conformance.refresh(&server.store).await;
                refreshed.map_err(|error| crate::interactions::search::storage(&error))?;
            }
            Err(error) => return Err(writes::refusal(server, error, None)),
        }
    }
    Err(Failure::unavailable(
        "The search parameters are being changed by others, try again.",
    ))
}

/// One search parameter, whatever its base types.
struct Shown<'a> {
    url: &'a str,
    code: &'a str,
    bases: Vec<&'a str>,
    status: &'static str,
}

/// All of them by their URLs.
fn all(known: &Parameters) -> Vec<Shown<'static>> {
    let mut shown: BTreeMap<&str, Shown<'static>> = BTreeMap::new();
    for (parameter, readiness) in known.all().filter(|(parameter, _)| !parameter.url().is_empty()) {
        let status = match readiness {
            _ if known.is_disabled(parameter) => "Disabled",
            Readiness::Filling => "Supported",
            Readiness::Ready => "Enabled",
        };
        let one = shown.entry(parameter.url()).or_insert_with(|| Shown {
            url: parameter.url(),
            code: parameter.code(),
            bases: Vec::new(),
            status,
        });
        one.bases.push(parameter.base());
    }
    shown.into_values().collect()
}

fn shown(known: &Parameters, fits: impl Fn(&Shown<'_>) -> bool) -> Result<Reply> {
    let found: Vec<_> = all(known).into_iter().filter(|parameter| fits(parameter)).collect();
    if found.is_empty() {
        let text = "There is no search parameter with these values of `url`, `code` and `resourcetype`.";
        return Err(Failure::new(StatusCode::NOT_FOUND, "not-found", text));
    }
    let mut json = Json::with_capacity(160 * found.len() + 64);
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(|json| {
            for parameter in found {
                json.object(|json| {
                    json.member("name", STATUS);
                    json.name("part").array(|json| {
                        json.object(|json| {
                            json.member("name", "url").member("valueUrl", parameter.url);
                        });
                        json.object(|json| {
                            json.member("name", "status").member("valueString", parameter.status);
                        });
                    });
                });
            }
        });
    });
    Ok(Reply::ok(json.finish()))
}

/// Which ones are asked for: one of the values of each name that is given.
struct Asked {
    urls: Vec<String>,
    codes: Vec<String>,
    types: Vec<ResourceType>,
}

impl Asked {
    fn of(server: &Server, pairs: &Pairs) -> Result<Self> {
        let mut asked = Self {
            urls: Vec::new(),
            codes: Vec::new(),
            types: Vec::new(),
        };
        for (name, value) in pairs
            .iter()
            .filter(|(name, _)| !matches!(&**name, "_format" | "_pretty"))
        {
            let values = value.split(',').filter(|value| !value.is_empty());
            match name.to_ascii_lowercase().as_str() {
                "url" => asked.urls.extend(values.map(str::to_owned)),
                "code" => asked.codes.extend(values.map(str::to_owned)),
                "resourcetype" => {
                    for name in values {
                        let of = server.definitions.resource_type(name);
                        asked.types.push(of.ok_or_else(|| Failure::unknown_type(name))?);
                    }
                }
                _ => {
                    let text = format!("The parameter '{name}' isn't one of `url`, `code` and `resourcetype`.");
                    return Err(Failure::invalid(text));
                }
            }
        }
        Ok(asked)
    }

    fn fits(&self, parameter: &Shown<'_>) -> bool {
        let is_one = |values: &[String], value: &str| values.is_empty() || values.iter().any(|one| one == value);
        let of_type = |of: &ResourceType| parameter.bases.iter().any(|base| of.structure().is_a(base));
        is_one(&self.urls, parameter.url)
            && is_one(&self.codes, parameter.code)
            && (self.types.is_empty() || self.types.iter().any(of_type))
    }
}

/// URLs, and whether they shall be searched.
fn wanted(known: &Parameters, given: &[Node<'_>]) -> Result<Vec<(String, bool)>> {
    let all = all(known);
    let mut wanted = Vec::new();
    for parameter in given.iter().filter(|parameter| parameters::name(**parameter) == STATUS) {
        let parts = || parameter.get("part").into_iter().flat_map(Node::each);
        let part = |name: &str| {
            let found = parts().find(|part| parameters::name(*part) == name);
            let value = found.and_then(parameters::value);
            value.ok_or_else(|| Failure::invalid(format!("`{STATUS}` needs the part `{name}`.")))
        };
        let (url, status) = (part("url")?, part("status")?);
        let Some(one) = all.iter().find(|one| one.url == url) else {
            return Err(Failure::invalid(format!("There is no search parameter '{url}'.")));
        };
        let searched = match status.as_str() {
            "Supported" | "Enabled" => true,
            "Disabled" if NEEDED.contains(&one.code) => {
                let text = format!("The search parameter '{url}' is needed by the service and can't be disabled.");
                return Err(Failure::invalid(text));
            }
            "Disabled" => false,
            _ => {
                let text = format!("The status '{status}' can't be asked for: `Supported` or `Disabled`.");
                return Err(Failure::invalid(text));
            }
        };
        wanted.push((url, searched));
    }
    if wanted.is_empty() {
        let text = format!("The body must be Parameters with a `{STATUS}` for each search parameter that changes.");
        return Err(Failure::invalid(text));
    }
    Ok(wanted)
}
