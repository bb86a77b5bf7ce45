//! Searches that are about sets of codes: what parsing needs is found out here, then it goes on.

use fhir_search::parse::Target;
use fhir_search::terms::Answer;
use fhir_search::{Access, Handling, Need, Parser, Search, SearchError, Terms};
use http::StatusCode;

use super::canonical::Canonical;
use super::problem::Problem;
use super::reader::{self, Wanted};
use crate::http::failure::{Failure, Result};
use crate::interactions::search::refusal;
use crate::server::Server;

/// Value sets and hierarchies that one search may be about.
const MOST_NEEDS: usize = 50;

/// Reads a query, with the value sets and hierarchies that it names.
pub async fn parse(
    server: &Server,
    target: &Target,
    pairs: &[(String, String)],
    handling: Handling,
    access: &Access,
) -> Result<Search> {
    parse_by(server, &server.parser, target, pairs, handling, access).await
}

/// The same by another parser.
pub async fn parse_by(
    server: &Server,
    parser: &Parser,
    target: &Target,
    pairs: &[(String, String)],
    handling: Handling,
    access: &Access,
) -> Result<Search> {
    let mut terms = Terms::default();
    for _ in 0..=MOST_NEEDS {
        match parser.parse_knowing(target, pairs, handling, access, &terms) {
            Err(SearchError::Needs(need)) => {
                let answer = answer(server, access, &need).await?;
                terms.insert(need, answer);
            }
            other => return other.map_err(|error| refusal(&error)),
        }
    }
    Err(Failure::invalid(format!(
        "A search may be about at most {MOST_NEEDS} value sets and hierarchies of codes."
    )))
}

/// What terminology says; an error is about the reading of the database.
async fn answer(server: &Server, access: &Access, need: &Need) -> Result<Answer> {
    match need {
        Need::Members(text) => members(server, access, text).await,
        Need::Below { system, code } => related(server, access, system, code, true).await,
        Need::Above { system, code } => related(server, access, system, code, false).await,
    }
}

async fn members(server: &Server, access: &Access, text: &str) -> Result<Answer> {
    let unknown = || Err(Problem::UnknownValueSet(text.to_owned()).to_string());
    let (library, value_set, asked) = if let Some(id) = own_id(server, text) {
        match reader::value_set_by_id(server, access, id).await {
            Ok(found) => found,
            Err(failure) if failure.status == StatusCode::NOT_FOUND => return Ok(unknown()),
            Err(failure) => return Err(failure),
        }
    } else {
        let library = reader::library(server, access, vec![Wanted::ValueSet(text.to_owned())]).await?;
        match library.value_set(Canonical::of(text)) {
            Some(found) => (library, found, text.to_owned()),
            None => return Ok(unknown()),
        }
    };
    let expanded = server.terminology.expand(library, value_set, Some(asked)).await?;
    Ok(match expanded {
        Ok(expansion) => {
            let members = expansion.members.iter();
            Ok(members
                .map(|member| (member.system.to_string(), member.code.to_string()))
                .collect())
        }
        Err(problem) => Err(problem.to_string()),
    })
}

/// The id of a reference to a value set of this service.
fn own_id<'t>(server: &Server, text: &'t str) -> Option<&'t str> {
    let own = server.parser.bases.iter();
    let own = own.filter_map(|base| text.strip_prefix(base.as_str())?.strip_prefix('/'));
    own.chain([text])
        .filter_map(|text| text.strip_prefix("ValueSet/"))
        .find(|id| fhir_resource::reference::is_id(id))
}

async fn related(server: &Server, access: &Access, system: &str, code: &str, below: bool) -> Result<Answer> {
    let library = reader::library(server, access, vec![Wanted::CodeSystem(system.to_owned())]).await?;
    let Some(known) = library.code_system(Canonical::of(system)) else {
        return Ok(Err(Problem::UnknownCodeSystem(system.to_owned()).to_string()));
    };
    let Some(number) = known.find(code) else {
        return Ok(Err(format!("The code system '{system}' has no code '{code}' here.")));
    };
    let numbers = if below {
        let below = (0_u32..).zip(known.with_below(number));
        below
            .filter(|(_, is_below)| *is_below)
            .map(|(number, _)| number)
            .collect()
    } else {
        known.with_above(number)
    };
    let concepts = numbers.iter().filter_map(|number| known.concept(*number));
    Ok(Ok(concepts
        .map(|concept| (system.to_owned(), concept.code.to_string()))
        .collect()))
}
