//! `ConceptMap/$translate`: what a code is in another code system, by the concept maps that are stored.

use std::borrow::Cow;

use fhir_definitions::ResourceType;
use fhir_resource::{Document, Limits, Node};

use super::asked::{self, Asked, Coding};
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::terminology::{Canonical, reader};

/// A code on the other side.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    equivalence: String,
    system: Option<String>,
    code: Option<String>,
    display: Option<String>,
    /// The concept map that says so.
    source: Option<String>,
}

impl Match {
    /// Whether it leads anywhere.
    fn is_good(&self) -> bool {
        self.code.is_some() && !matches!(self.equivalence.as_str(), "unmatched" | "disjoint")
    }
}

/// In which direction, and where to.
struct Way {
    reverse: bool,
    /// Only to this code system.
    system: Option<String>,
}

/// Translates a code.
pub async fn translate(server: &Server, call: &Call<'_>, of: ResourceType, id: Option<&str>) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(call, "")?;
    asked.refuse(&["dependency", "source", "target"])?;
    let codings = asked.codings("version")?;
    let way = Way {
        reverse: asked.flag("reverse")?,
        system: asked.one("targetsystem")?.map(str::to_owned),
    };
    let maps = maps(server, call, &asked, id, &codings, way.reverse).await?;
    let mut found = Vec::new();
    for coding in &codings {
        for map in &maps {
            matches(map.root(), coding, &way, &mut found);
        }
    }
    Ok(Reply::ok(answer(&found, &codings)))
}

fn answer(found: &[Match], codings: &[Coding]) -> Vec<u8> {
    asked::answer(|json| {
        let good = found.iter().any(Match::is_good);
        asked::flag(json, "result", good);
        if !good {
            let codes: Vec<String> = codings.iter().map(|coding| format!("'{}'", coding.text())).collect();
            let text = format!("No concept map that is stored here translates {}.", codes.join(", "));
            asked::parameter(json, "message", "valueString", &text);
        }
        for one in found {
            json.object(|json| write(one, json));
        }
    })
}

fn write(one: &Match, json: &mut Json) {
    json.member("name", "match");
    json.name("part").array(|json| {
        asked::parameter(json, "equivalence", "valueCode", &one.equivalence);
        if let Some(code) = &one.code {
            json.object(|json| {
                json.member("name", "concept");
                json.name("valueCoding").object(|json| {
                    if let Some(system) = &one.system {
                        json.member("system", system);
                    }
                    json.member("code", code);
                    if let Some(display) = &one.display {
                        json.member("display", display);
                    }
                });
            });
        }
        if let Some(source) = &one.source {
            asked::parameter(json, "source", "valueUri", source);
        }
    });
}

/// The concept maps to ask: by id, one that was sent, by `url`, or all that name one of the codes.
async fn maps(
    server: &Server,
    call: &Call<'_>,
    asked: &Asked<'_>,
    id: Option<&str>,
    codings: &[Coding],
    reverse: bool,
) -> Result<Vec<Document>> {
    let visible = call.principal.visible();
    let parsed = |body: Vec<u8>| Ok::<_, Failure>(Document::parse(body, Limits::default())?);
    if let (None, Some(node)) = (id, asked.resource("conceptMap")) {
        return Ok(vec![parsed(node.raw().as_bytes().to_vec())?]);
    }
    let url = asked.one("url")?;
    let pairs: Vec<(&str, Cow<'_, str>)> = match (id, url) {
        (Some(id), _) => vec![("_id", Cow::Borrowed(id))],
        (None, Some(url)) => {
            let wanted = Canonical::of(url);
            let version = asked.one("conceptMapVersion")?.or(wanted.version);
            let version = version.map(|version| ("version", Cow::Borrowed(version)));
            std::iter::once(("url", Cow::Borrowed(wanted.url)))
                .chain(version)
                .collect()
        }
        (None, None) => Vec::new(),
    };
    let mut found = Vec::new();
    if pairs.is_empty() {
        let name = if reverse { "target-code" } else { "source-code" };
        for coding in codings {
            let pairs = [(name, Cow::Borrowed(coding.code.as_str()))];
            found.extend(reader::find(server, &visible, "ConceptMap", &pairs).await?);
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        found.dedup_by(|left, right| left.id == right.id);
    } else {
        found = reader::find(server, &visible, "ConceptMap", &pairs).await?;
        // one map is asked for: of several with its URL the one that was changed last
        found.truncate(1);
        if found.is_empty() {
            return Err(match (id, url) {
                (Some(id), _) => Failure::not_found("ConceptMap", id),
                (None, url) => {
                    let text = format!(
                        "The concept map '{}' isn't known here. Store it as a ConceptMap, or send it with the request.",
                        url.unwrap_or_default()
                    );
                    Failure::new(http::StatusCode::NOT_FOUND, "not-found", text)
                }
            });
        }
    }
    found.into_iter().map(|version| parsed(version.body)).collect()
}

fn matches(map: Node<'_>, coding: &Coding, way: &Way, found: &mut Vec<Match>) {
    let text = |node: Node<'_>, name: &str| node.text_of(name).map(Cow::into_owned);
    let source = text(map, "url");
    let fits = |wanted: Option<&String>, system: Option<&String>| wanted.is_none_or(|wanted| Some(wanted) == system);
    for group in map.get("group").into_iter().flat_map(Node::items) {
        let (from, to) = (text(group, "source"), text(group, "target"));
        let (from, to) = if way.reverse { (to, from) } else { (from, to) };
        if !fits(coding.system.as_ref(), from.as_ref()) || !fits(way.system.as_ref(), to.as_ref()) {
            continue;
        }
        let mut mapped = false;
        for element in group.get("element").into_iter().flat_map(Node::items) {
            let is_source = element.text_of("code").as_deref() == Some(&coding.code);
            for target in element.get("target").into_iter().flat_map(Node::items) {
                let is_target = target.text_of("code").as_deref() == Some(&coding.code);
                if !(if way.reverse { is_target } else { is_source }) {
                    continue;
                }
                mapped = true;
                let other = if way.reverse { element } else { target };
                // STU3 says what is meant where it isn't written, R4 has it always
                let equivalence = text(target, "equivalence").unwrap_or_else(|| "equivalent".to_owned());
                found.push(Match {
                    equivalence: if way.reverse { inverse(equivalence) } else { equivalence },
                    system: to.clone(),
                    code: text(other, "code"),
                    display: text(other, "display"),
                    source: source.clone(),
                });
            }
        }
        if let Some(unmapped) = group.get("unmapped").filter(|_| !mapped && !way.reverse) {
            found.extend(instead(unmapped, coding, to, source.clone()));
        }
    }
}

/// What a group says of codes that it doesn't map.
fn instead(unmapped: Node<'_>, coding: &Coding, to: Option<String>, source: Option<String>) -> Option<Match> {
    let text = |name: &str| unmapped.text_of(name).map(Cow::into_owned);
    let (equivalence, code, display) = match unmapped.text_of("mode")?.as_ref() {
        "provided" => ("equal", Some(coding.code.clone()), coding.display.clone()),
        "fixed" => ("inexact", text("code"), text("display")),
        // another map may be asked by its own URL
        _ => return None,
    };
    Some(Match {
        equivalence: equivalence.to_owned(),
        system: to,
        code,
        display,
        source,
    })
}

/// What an equivalence is, seen from the other side.
fn inverse(equivalence: String) -> String {
    let other = match equivalence.as_str() {
        "wider" => "narrower",
        "narrower" => "wider",
        "subsumes" => "specializes",
        "specializes" => "subsumes",
        _ => return equivalence,
    };
    other.to_owned()
}
