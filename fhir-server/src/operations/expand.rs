//! `ValueSet/$expand`: the members of a value set, in pages.

use std::borrow::Cow;
use std::sync::Arc;

use fhir_definitions::ResourceType;
use fhir_resource::{Node, temporal};
use uuid::Uuid;

use super::asked::Asked;
use crate::access::Action;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::terminology::reader::{self, Wanted};
use crate::terminology::{Canonical, Expansion, Library, Member, Problem, ValueSet};

/// What would change the members, and isn't supported.
const REFUSED: &[&str] = &[
    "context",
    "contextDirection",
    "date",
    "designation",
    "profile",
    "system-version",
    "check-system-version",
    "force-system-version",
];

/// Members that the answer doesn't have.
const LEFT_OUT: &[&str] = &["id", "meta", "text", "contained", "expansion"];

/// Expands a value set: by id, by URL, or one that was sent.
pub async fn expand(server: &Server, call: &Call<'_>, of: ResourceType, id: Option<&str>) -> Result<Reply> {
    call.principal.require(Action::Read, of)?;
    let asked = Asked::of(call, of.name())?;
    asked.refuse(REFUSED)?;
    let wishes = Wishes::of(&asked)?;
    let (library, value_set, key) = value_set(server, call, &asked, id).await?;
    let expansion = server
        .terminology
        .expand(library, Arc::clone(&value_set), key)
        .await??;
    Ok(Reply::ok(wishes.write(&value_set, &expansion)))
}

/// The value set that is asked about, what it is made of, and what its expansion is kept by.
pub async fn value_set(
    server: &Server,
    call: &Call<'_>,
    asked: &Asked<'_>,
    id: Option<&str>,
) -> Result<(Library, Arc<ValueSet>, Option<String>)> {
    let visible = call.principal.visible();
    if let Some(id) = id {
        let (library, found, key) = reader::value_set_by_id(server, &visible, id).await?;
        return Ok((library, found, Some(key)));
    }
    if let Some(node) = asked.resource("valueSet") {
        let given = reader::inline(node)?;
        let library = reader::library(server, &visible, reader::parts_of(&given)).await?;
        return Ok((library, given, None));
    }
    let url = asked.one("url")?.ok_or_else(|| {
        Failure::invalid(
            "Say which value set: `ValueSet/id/$operation`, the parameter `url`, or by POST the parameter `valueSet`.",
        )
    })?;
    let wanted = match asked.one("valueSetVersion")? {
        Some(version) if !url.contains('|') => format!("{url}|{version}"),
        _ => url.to_owned(),
    };
    let library = reader::library(server, &visible, vec![Wanted::ValueSet(wanted.clone())]).await?;
    let found = library.value_set(Canonical::of(&wanted));
    let found = found.ok_or_else(|| Problem::UnknownValueSet(wanted.clone()))?;
    Ok((library, found, Some(wanted)))
}

/// How the answer should look.
#[expect(clippy::struct_excessive_bools, reason = "they are the operation's own parameters")]
struct Wishes {
    filter: Option<String>,
    offset: Option<usize>,
    count: Option<usize>,
    active_only: bool,
    without_groups: bool,
    with_designations: bool,
    with_definition: bool,
    language: Option<String>,
    excluded: Vec<String>,
}

impl Wishes {
    fn of(asked: &Asked<'_>) -> Result<Self> {
        Ok(Self {
            filter: asked.one("filter")?.map(str::to_lowercase),
            offset: asked.number("offset")?,
            count: asked.number("count")?,
            active_only: asked.flag("activeOnly")?,
            without_groups: asked.flag("excludeNotForUI")?,
            with_designations: asked.flag("includeDesignations")?,
            with_definition: asked.flag("includeDefinition")?,
            language: asked.one("displayLanguage")?.map(str::to_owned),
            excluded: asked.many("exclude-system").map(str::to_owned).collect(),
        })
    }

    /// Each word of the filter is in the text of the code, or the code begins with it.
    fn wants(&self, member: &Member) -> bool {
        let excluded = |text: &String| {
            let canonical = Canonical::of(text);
            let version = member
                .concept
                .as_ref()
                .and_then(|(system, _)| system.version.as_deref());
            canonical.url == &*member.system && (canonical.version.is_none() || canonical.version == version)
        };
        let hidden = self.active_only && member.inactive || self.without_groups && member.is_abstract;
        !hidden
            && !self.excluded.iter().any(excluded)
            && self.filter.as_deref().is_none_or(|filter| self.says(member, filter))
    }

    fn says(&self, member: &Member, filter: &str) -> bool {
        let code = member.code.to_lowercase();
        let text = self.display(member).unwrap_or_default().to_lowercase();
        filter
            .split_whitespace()
            .all(|word| text.contains(word) || code.starts_with(word))
    }

    /// The text in the language that is asked for, if there is one.
    fn display<'m>(&self, member: &'m Member) -> Option<Cow<'m, str>> {
        let translated = self.language.as_deref().and_then(|wanted| {
            designations(member)
                .find(|node| node.text_of("language").is_some_and(|own| speaks(&own, wanted)))
                .and_then(|node| node.text_of("value"))
        });
        translated.or_else(|| member.display.as_deref().map(Cow::Borrowed))
    }

    fn write(&self, value_set: &ValueSet, expansion: &Expansion) -> Vec<u8> {
        let wanted: Vec<&Member> = expansion.members.iter().filter(|member| self.wants(member)).collect();
        let shown = wanted
            .iter()
            .skip(self.offset.unwrap_or(0))
            .take(self.count.unwrap_or(usize::MAX));
        let mut json = Json::with_capacity(1024 + wanted.len() * 96);
        json.object(|json| {
            for (name, value) in value_set.root().entries() {
                if !LEFT_OUT.contains(&name.as_ref()) && (self.with_definition || name != "compose") {
                    json.name(&name).raw(value.raw().as_bytes());
                }
            }
            if value_set.root().get("status").is_none() {
                json.member("status", "unknown");
            }
            json.name("expansion").object(|json| {
                json.member("identifier", &format!("urn:uuid:{}", Uuid::new_v4()));
                let now = jiff::Timestamp::now().as_microsecond();
                json.member("timestamp", &temporal::instant(now));
                json.number("total", wanted.len() as u64);
                if let Some(offset) = self.offset {
                    json.number("offset", offset as u64);
                }
                self.parameters(expansion, json);
                let mut shown = shown.peekable();
                if shown.peek().is_some() {
                    json.name("contains").array(|json| {
                        for member in shown {
                            json.object(|json| self.member(member, json));
                        }
                    });
                }
            });
        });
        json.finish()
    }

    /// What the expansion depends on.
    fn parameters(&self, expansion: &Expansion, json: &mut Json) {
        let mut texts: Vec<(&str, &str, &str)> = Vec::new();
        texts.extend(self.filter.as_deref().map(|text| ("filter", "valueString", text)));
        texts.extend(
            self.language
                .as_deref()
                .map(|text| ("displayLanguage", "valueCode", text)),
        );
        texts.extend(
            self.excluded
                .iter()
                .map(|text| ("exclude-system", "valueUri", text.as_str())),
        );
        texts.extend(
            expansion
                .systems
                .iter()
                .map(|text| ("version", "valueUri", text.as_str())),
        );
        texts.extend(
            expansion
                .fragments
                .iter()
                .map(|text| ("used-fragment", "valueUri", text.as_str())),
        );
        let flags = [
            ("activeOnly", self.active_only),
            ("excludeNotForUI", self.without_groups),
            ("includeDesignations", self.with_designations),
            ("includeDefinition", self.with_definition),
        ];
        let flags = || flags.iter().filter(|(_, set)| *set);
        let numbers = [("offset", self.offset), ("count", self.count)];
        let numbers = || numbers.iter().filter_map(|(name, number)| Some((*name, (*number)?)));
        if texts.is_empty() && flags().next().is_none() && numbers().next().is_none() {
            return;
        }
        json.name("parameter").array(|json| {
            for (name, member, value) in texts {
                super::asked::parameter(json, name, member, value);
            }
            for (name, _) in flags() {
                super::asked::flag(json, name, true);
            }
            for (name, number) in numbers() {
                json.object(|json| {
                    json.member("name", name).number("valueInteger", number as u64);
                });
            }
        });
    }

    fn member(&self, member: &Member, json: &mut Json) {
        json.member("system", &member.system);
        if member.is_abstract {
            json.flag("abstract", true);
        }
        if member.inactive {
            json.flag("inactive", true);
        }
        if let Some(version) = member
            .concept
            .as_ref()
            .and_then(|(system, _)| system.version.as_deref())
        {
            json.member("version", version);
        }
        json.member("code", &member.code);
        if let Some(display) = self.display(member) {
            json.member("display", &display);
        }
        let mut designations = designations(member).peekable();
        if self.with_designations && designations.peek().is_some() {
            json.name("designation").array(|json| {
                for node in designations {
                    json.raw(node.raw().as_bytes());
                }
            });
        }
    }
}

/// What value set and code system call a code in other words.
fn designations(member: &Member) -> impl Iterator<Item = Node<'_>> {
    let listed = member.listed.as_ref();
    let listed = listed.and_then(|(value_set, offset)| value_set.node(*offset));
    let concept = member.concept.as_ref();
    let concept = concept.and_then(|(system, number)| system.node(system.concept(*number)?));
    let nodes = listed.into_iter().chain(concept);
    nodes.filter_map(|node| node.get("designation")).flat_map(Node::items)
}

/// `de-CH` speaks `de`.
pub fn speaks(own: &str, wanted: &str) -> bool {
    let rest = own
        .get(..wanted.len())
        .filter(|begin| begin.eq_ignore_ascii_case(wanted));
    rest.is_some() && matches!(own.as_bytes().get(wanted.len()), None | Some(b'-'))
}
