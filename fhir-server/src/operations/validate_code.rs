//! `ValueSet/$validate-code` and `CodeSystem/$validate-code`: is this a code of it, and is that its text?

use std::borrow::Cow;
use std::sync::Arc;

use fhir_definitions::ResourceType;
use fhir_resource::Node;
use fhir_resource::validation::{Coded, Membership};

use super::asked::{self, Asked, Coding};
use super::expand;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::reply::Reply;
use crate::server::Server;
use crate::terminology::reader::{self, Wanted};
use crate::terminology::{
    Canonical, CodeSystem, Concept, Content, Library, Problem, ValueSet, expand as members_of, membership,
};

/// What is said of a code.
struct Verdict {
    result: bool,
    message: Option<String>,
    /// The text that it should have.
    display: Option<String>,
}

/// Decides for a value set or a code system, by id, by URL, or one that was sent.
pub async fn validate_code(server: &Server, call: &Call<'_>, of: ResourceType, id: Option<&str>) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(call, "")?;
    let verdict = if of.name() == "ValueSet" {
        asked.refuse(&["context", "date"])?;
        let codings = asked.codings("systemVersion")?;
        let (mut library, value_set, _) = expand::value_set(server, call, &asked, id).await?;
        let systems = codings.iter().filter_map(|coding| coding.system.clone());
        let systems = systems.map(Wanted::CodeSystem).collect();
        reader::extend(server, &call.principal.visible(), &mut library, systems).await?;
        let with_abstract = asked.flag("abstract")?;
        first_good(&codings, |coding| {
            of_value_set(&library, &value_set, coding, with_abstract)
        })?
    } else {
        asked.refuse(&["date"])?;
        let codings = asked.codings("version")?;
        let system = code_system(server, call, &asked, id, &codings).await?;
        first_good(&codings, |coding| of_code_system(&system, coding))?
    };
    Ok(Reply::ok(asked::answer(|json| {
        asked::flag(json, "result", verdict.result);
        if let Some(message) = &verdict.message {
            asked::parameter(json, "message", "valueString", message);
        }
        if let Some(display) = &verdict.display {
            asked::parameter(json, "display", "valueString", display);
        }
    })))
}

/// One good coding is enough; else the first complaint counts, and a question without an answer before that.
fn first_good(codings: &[Coding], decide: impl Fn(&Coding) -> Result<Verdict>) -> Result<Verdict> {
    let mut worst: Option<Result<Verdict>> = None;
    for coding in codings {
        match decide(coding) {
            Ok(verdict) if verdict.result => return Ok(verdict),
            Ok(verdict) => {
                worst.get_or_insert(Ok(verdict));
            }
            Err(failure) => match worst {
                Some(Err(_)) => {}
                _ => worst = Some(Err(failure)),
            },
        }
    }
    worst.unwrap_or_else(|| Err(Failure::invalid("Say which code.")))
}

fn of_value_set(library: &Library, value_set: &Arc<ValueSet>, coding: &Coding, with_abstract: bool) -> Result<Verdict> {
    let refuse = |message: String| Verdict {
        result: false,
        message: Some(message),
        display: None,
    };
    let coded = Coded {
        system: coding.system.as_deref(),
        version: coding.version.as_deref(),
        code: &coding.code,
    };
    match membership(library, value_set, coded) {
        Membership::Yes => {}
        Membership::No => {
            return Ok(refuse(format!(
                "The code '{}' isn't in the value set '{}'.",
                coding.text(),
                value_set.label()
            )));
        }
        Membership::Unknown => {
            return Err(match members_of(library, value_set) {
                Err(problem) => problem.into(),
                Ok(_) => Failure::new(
                    http::StatusCode::UNPROCESSABLE_ENTITY,
                    "not-found",
                    format!(
                        "Whether the code '{}' is in the value set '{}' can't be told: only a part of its code system is known here.",
                        coding.text(),
                        value_set.label()
                    ),
                ),
            });
        }
    }
    let system = match &coding.system {
        Some(system) => library.code_system(Canonical::of(system)),
        None => value_set
            .systems()
            .iter()
            .filter_map(|system| library.code_system(Canonical::of(system)))
            .find(|system| system.find(&coding.code).is_some()),
    };
    let concept = system
        .as_ref()
        .and_then(|system| system.concept(system.find(&coding.code)?));
    if concept.is_some_and(|concept| concept.is_abstract) && !with_abstract {
        return Ok(refuse(format!(
            "The code '{}' only groups others: it can't be used. Send `abstract` if it may.",
            coding.text()
        )));
    }
    let mut known: Vec<Cow<'_, str>> = value_set.displays(coding.system.as_deref(), &coding.code);
    if let Some((system, concept)) = system.as_deref().zip(concept) {
        known.extend(displays(system, concept));
    }
    Ok(shown(coding, &known))
}

fn of_code_system(system: &CodeSystem, coding: &Coding) -> Result<Verdict> {
    let other_system = coding.system.as_deref().is_some_and(|own| own != system.url);
    let concept = system.find(&coding.code).and_then(|number| system.concept(number));
    let Some(concept) = concept.filter(|_| !other_system) else {
        if system.content != Content::Complete && !other_system {
            return Err(Failure::new(
                http::StatusCode::UNPROCESSABLE_ENTITY,
                "not-found",
                format!(
                    "Whether the code '{}' exists can't be told: of the code system '{}' only the content '{}' is known here.",
                    coding.code, system.url, system.content_code
                ),
            ));
        }
        return Ok(Verdict {
            result: false,
            message: Some(format!(
                "The code system '{}' has no code '{}'.",
                system.url,
                coding.text()
            )),
            display: None,
        });
    };
    Ok(shown(coding, &displays(system, concept)))
}

/// The text of a code, its designations behind it.
fn displays<'a>(system: &'a CodeSystem, concept: &'a Concept) -> Vec<Cow<'a, str>> {
    let display = concept.display.as_deref().map(Cow::Borrowed);
    let others = system.node(concept).and_then(|node| node.get("designation"));
    let others = others.into_iter().flat_map(Node::items);
    let others = others.filter_map(|node| node.text_of("value"));
    display.into_iter().chain(others).collect()
}

/// A member whose text is looked at: case and blanks don't matter.
fn shown(coding: &Coding, known: &[Cow<'_, str>]) -> Verdict {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let display = known.first().map(|text| text.clone().into_owned());
    let wrong = coding
        .display
        .as_deref()
        .filter(|given| !known.is_empty() && !known.iter().any(|own| plain(own) == plain(given)));
    Verdict {
        result: wrong.is_none(),
        message: wrong.map(|given| {
            format!(
                "The code '{}' doesn't have the display '{given}', but '{}'.",
                coding.text(),
                display.as_deref().unwrap_or_default()
            )
        }),
        display,
    }
}

/// The code system that is asked about: by id, one that was sent, by `url`, or that of the code.
pub async fn code_system(
    server: &Server,
    call: &Call<'_>,
    asked: &Asked<'_>,
    id: Option<&str>,
    codings: &[Coding],
) -> Result<Arc<CodeSystem>> {
    let visible = call.principal.visible();
    match (id, asked.resource("codeSystem")) {
        (Some(id), _) => return reader::code_system_by_id(server, &visible, id).await,
        (None, Some(node)) => return reader::inline_code_system(node),
        (None, None) => {}
    }
    let named = asked.one("url")?;
    let named = named.or_else(|| codings.iter().find_map(|coding| coding.system.as_deref()));
    let url = named.or(asked.one("system")?).ok_or_else(|| {
        Failure::invalid("Say which code system: `CodeSystem/id/$operation`, or its URL as `url` or `system`.")
    })?;
    let wanted = Canonical {
        url,
        version: asked
            .one("version")?
            .or_else(|| codings.iter().find_map(|coding| coding.version.as_deref())),
    };
    let library = reader::library(server, &visible, vec![Wanted::CodeSystem(url.to_owned())]).await?;
    library
        .code_system(wanted)
        .ok_or_else(|| Problem::UnknownCodeSystem(wanted.text()).into())
}
