//! `CodeSystem/$lookup`: what a code means.

use fhir_definitions::ResourceType;
use fhir_resource::Node;

use super::asked::{self, Asked};
use super::expand::speaks;
use super::validate_code::code_system;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::terminology::{CodeSystem, Concept};

/// Shows a concept.
pub async fn lookup(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(call, "")?;
    asked.refuse(&["date"])?;
    let codings = asked.codings("version")?;
    let system = code_system(server, call, &asked, None, &codings).await?;
    let code = codings.first().map(|coding| coding.code.as_str()).unwrap_or_default();
    let concept = system.find(code).and_then(|number| system.concept(number));
    let concept = concept.ok_or_else(|| {
        let text = format!("The code system '{}' has no code '{code}' here.", system.url);
        Failure::new(http::StatusCode::NOT_FOUND, "not-found", text)
    })?;
    let properties: Vec<&str> = asked.many("property").collect();
    let language = asked.one("displayLanguage")?;
    Ok(Reply::ok(asked::answer(|json| {
        write(&system, concept, &properties, language, json);
    })))
}

/// All properties, unless some are asked for.
fn write(system: &CodeSystem, concept: &Concept, properties: &[&str], language: Option<&str>, json: &mut Json) {
    let node = system.node(concept);
    let items = |name: &str| node.and_then(|node| node.get(name)).into_iter().flat_map(Node::items);
    let wants = |name: &str| properties.is_empty() || properties.contains(&name) || properties.contains(&"*");
    asked::parameter(json, "name", "valueString", &system.name);
    if let Some(version) = &system.version {
        asked::parameter(json, "version", "valueString", version);
    }
    let translated = items("designation").find(|node| {
        let own = node.text_of("language");
        own.zip(language).is_some_and(|(own, wanted)| speaks(&own, wanted))
    });
    let translated = translated.and_then(|node| node.text_of("value"));
    let display = translated
        .as_deref()
        .or(concept.display.as_deref())
        .unwrap_or(&concept.code);
    asked::parameter(json, "display", "valueString", display);
    let designations = items("designation").filter(|_| wants("designation"));
    for designation in designations {
        parts(json, "designation", |json| {
            for (name, member) in [
                ("language", "valueCode"),
                ("use", "valueCoding"),
                ("value", "valueString"),
            ] {
                if let Some(value) = designation.get(name) {
                    json.object(|json| {
                        json.member("name", name).name(member).raw(value.raw().as_bytes());
                    });
                }
            }
        });
    }
    if let Some(definition) = node
        .and_then(|node| node.text_of("definition"))
        .filter(|_| wants("definition"))
    {
        property(json, "definition", "valueString", &definition);
    }
    if concept.inactive && wants("inactive") {
        parts(json, "property", |json| {
            asked::parameter(json, "code", "valueCode", "inactive");
            asked::flag(json, "value", true);
        });
    }
    for own in items("property") {
        let Some(name) = own.text_of("code").filter(|name| wants(name) && name != "inactive") else {
            continue;
        };
        let value = own.entries().find(|(name, _)| name.starts_with("value"));
        if let Some((member, value)) = value {
            parts(json, "property", |json| {
                asked::parameter(json, "code", "valueCode", &name);
                json.object(|json| {
                    json.member("name", "value").name(&member).raw(value.raw().as_bytes());
                });
            });
        }
    }
    let said: Vec<_> = ["parent", "child"]
        .into_iter()
        .filter(|name| wants(name) && items("property").all(|own| own.text_of("code").as_deref() != Some(name)))
        .collect();
    for name in said {
        for code in system.neighbours(concept, name == "parent") {
            property(json, name, "valueCode", code);
        }
    }
}

fn parts(json: &mut Json, name: &str, write: impl FnOnce(&mut Json)) {
    json.object(|json| {
        json.member("name", name);
        json.name("part").array(write);
    });
}

fn property(json: &mut Json, name: &str, member: &str, value: &str) {
    parts(json, "property", |json| {
        asked::parameter(json, "code", "valueCode", name);
        asked::parameter(json, "value", member, value);
    });
}
