//! `Observation/$lastn`: the latest observations of each kind (FHIR, operation observation-lastn). Observations are of one
//! kind if their codes share a coding, or the text where neither has one.

use std::collections::HashMap;

use fhir_definitions::ResourceType;
use fhir_resource::{Document, Limits, Node};
use fhir_search::parse::Target;
use fhir_search::{Handling, Search};
use fhir_storage::{Cursor, Version};

use super::parameters;
use crate::access::Action;
use crate::http::call::{CURSOR, Call, Pairs};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::reply::Reply;
use crate::interactions::search;
use crate::interactions::searchset::{Mode, Searchset};
use crate::server::Server;
use crate::terminology;

/// What an operation reads of one page of observations.
const PAGE: usize = 100;
/// Whose observations.
const WHO: [&str; 2] = ["patient", "subject"];
/// Which of them.
const WHAT: [&str; 2] = ["category", "code"];

/// Finds them, newest first in each kind.
pub async fn last_n(server: &Server, call: &Call<'_>, of: ResourceType) -> Result<Reply> {
    call.principal.require(Action::Search, of)?;
    let asked = parameters::pairs(call)?;
    let max = max(&asked)?;
    let named = |codes: &[&str]| asked.iter().any(|(name, _)| codes.contains(&base(name)));
    if !named(&WHO) || !named(&WHAT) {
        return Err(Failure::invalid(
            "$lastn needs `patient` or `subject`, and `category` or `code`.",
        ));
    }
    let own = |name: &str| !matches!(name, "max" | "_sort" | "_count") && name != CURSOR;
    let mut pairs: Pairs = asked.iter().filter(|(name, _)| own(name)).cloned().collect();
    pairs.push(("_sort".to_owned(), "-date".to_owned()));
    let handling = if call.prefer.strict {
        Handling::Strict
    } else {
        Handling::Lenient
    };
    let visible = call.principal.visible();
    let search = terminology::search::parse(server, &Target::Type(of), &pairs, handling, &visible).await?;
    let groups = collect(server, &search, max).await?;
    let entries: Vec<(&Version, Mode)> = groups.iter().flatten().map(|version| (version, Mode::Match)).collect();
    let warnings = search.warnings.iter();
    let set = Searchset {
        base: &call.base,
        links: vec![("self", call.url(asked.iter(), None))],
        total: Some(entries.len() as u64),
        issues: warnings
            .map(|(code, text)| OutcomeIssue::warning(code, text.as_str()))
            .collect(),
        entries,
        summary: search.summary,
        elements: &search.elements,
    };
    Ok(Reply::ok(set.write(server)))
}

/// A parameter without modifier and chain.
fn base(name: &str) -> &str {
    name.split([':', '.']).next().unwrap_or(name)
}

fn max(asked: &Pairs) -> Result<usize> {
    let Some((_, text)) = asked.iter().find(|(name, _)| name == "max") else {
        return Ok(1);
    };
    let max = text.parse::<usize>().ok().filter(|max| *max > 0);
    max.ok_or_else(|| Failure::invalid(format!("The 'max' parameter must be a positive number, not '{text}'.")))
}

/// The newest of each kind, in the order in which kinds are met. Only what is shown is kept.
async fn collect(server: &Server, search: &Search, max: usize) -> Result<Vec<Vec<Version>>> {
    let mut kinds = Kinds::default();
    let mut groups: Vec<Vec<Version>> = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = search::page(server, &search.plan, PAGE, cursor.as_ref()).await?;
        for version in page.entries {
            let document = Document::parse(version.body.clone(), Limits::default())?;
            let kind = kinds.of(document.root());
            if kind == groups.len() {
                groups.push(Vec::new());
            }
            if let Some(group) = groups.get_mut(kind).filter(|group| group.len() < max) {
                group.push(version);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(groups);
        }
    }
}

/// The kinds that were met, by their codes.
#[derive(Default)]
struct Kinds {
    known: HashMap<String, usize>,
    count: usize,
}

impl Kinds {
    /// The number of an observation's kind; a new one is the count of those before.
    fn of(&mut self, observation: Node<'_>) -> usize {
        let names = names(observation);
        let found = names.iter().find_map(|name| self.known.get(name).copied());
        let kind = found.unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        for name in names {
            self.known.entry(name).or_insert(kind);
        }
        kind
    }
}

/// What the code of an observation is called: its codings, else its text.
fn names(observation: Node<'_>) -> Vec<String> {
    let code = observation.get("code");
    let codings = code
        .and_then(|code| code.get("coding"))
        .into_iter()
        .flat_map(Node::each);
    let coded = |coding: Node<'_>| {
        let system = coding.text_of("system").unwrap_or_default().into_owned();
        Some(format!("{system}|{}", coding.text_of("code")?))
    };
    let names: Vec<String> = codings.filter_map(coded).collect();
    if names.is_empty() {
        let text = code.and_then(|code| code.text_of("text")).unwrap_or_default();
        return vec![text.into_owned()];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(kinds: &mut Kinds, code: &str) -> usize {
        let text = format!(r#"{{"resourceType":"Observation","code":{code}}}"#);
        kinds.of(Document::parse(text, Limits::default()).expect("JSON").root())
    }

    #[test]
    fn observations_that_share_a_coding_are_of_one_kind() {
        let mut kinds = Kinds::default();
        assert_eq!(
            kind(&mut kinds, r#"{"coding":[{"system":"l","code":"1"},{"code":"w"}]}"#),
            0
        );
        assert_eq!(kind(&mut kinds, r#"{"coding":[{"system":"x","code":"1"}]}"#), 1);
        assert_eq!(
            kind(&mut kinds, r#"{"coding":[{"code":"w"},{"system":"s","code":"7"}]}"#),
            0
        );
        assert_eq!(
            kind(&mut kinds, r#"{"coding":[{"system":"s","code":"7"}],"text":"t"}"#),
            0
        );
        assert_eq!(kind(&mut kinds, r#"{"text":"t"}"#), 2);
        assert_eq!(kind(&mut kinds, r#"{"text":"t"}"#), 2);
    }
}
