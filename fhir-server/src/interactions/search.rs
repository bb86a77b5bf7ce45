//! search: by type, over types, in a compartment; GET and POST.

use fhir_search::parse::{Summary, Target, Total};
use fhir_search::{Handling, Plan, Search, SearchError};
use fhir_storage::{Cursor, Included, Page, ReadError};
use http::StatusCode;

use super::searchset::{Mode, Searchset};
use crate::access::Action;
use crate::http::call::{CURSOR, Call, Pairs};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;
use crate::terminology;

/// What is said of a place that this server didn't give.
pub const BAD_CURSOR: &str = "The continuation token is invalid.";

/// Finds and shows a page.
pub async fn search(server: &Server, call: &Call<'_>, interaction: &Interaction) -> Result<Reply> {
    let target = match interaction {
        Interaction::SearchType(of) => Target::Type(*of),
        Interaction::SearchCompartment { name, id, of } => Target::Compartment {
            name: name.clone(),
            id: id.clone(),
            of: *of,
        },
        _ => Target::System,
    };
    if let Target::Type(of) | Target::Compartment { of: Some(of), .. } = &target {
        call.principal.require(Action::Search, *of)?;
    }
    let pairs: Pairs = call.query.iter().filter(|(name, _)| name != CURSOR).cloned().collect();
    let cursor = call.parameter(CURSOR).map(str::parse::<Cursor>).transpose();
    let cursor = cursor.map_err(|_| Failure::invalid(BAD_CURSOR))?;
    let handling = if call.prefer.strict {
        Handling::Strict
    } else {
        Handling::Lenient
    };
    let visible = call.principal.visible();
    let partial = call.prefer.partial_indices.then(|| server.parser.partial());
    let parser = partial.as_ref().unwrap_or(&server.parser);
    let search = terminology::search::parse_by(server, parser, &target, &pairs, handling, &visible).await?;
    let only_count = search.summary == Summary::Count || search.count == 0;
    let page = if only_count {
        Page::default()
    } else {
        page(server, &search.plan, search.count, cursor.as_ref()).await?
    };
    let included = if search.includes.is_empty() {
        Included::default()
    } else {
        let limit = usize::try_from(server.limits.includes()).unwrap_or(usize::MAX);
        let included = server
            .store
            .included(&page.entries, &search.includes, &visible, limit, server.effort())
            .await;
        included.map_err(|error| storage(&error))?
    };
    // A total is of the first page: further ones would count again and again.
    let counted = only_count || (search.total != Total::None && cursor.is_none());
    let total = if counted {
        let total = server.store.count(&search.plan, server.effort()).await;
        Some(total.map_err(|error| storage(&error))?)
    } else {
        None
    };
    Ok(Reply::ok(searchset(server, call, &search, &page, &included, total)))
}

/// One page of a plan.
pub async fn page(server: &Server, plan: &Plan, count: usize, after: Option<&Cursor>) -> Result<Page> {
    let page = server.store.search(plan, count, after, server.effort()).await;
    page.map_err(|error| storage(&error))
}

/// A read that the database failed.
pub fn storage(error: &ReadError) -> Failure {
    match error {
        ReadError::TooMuch => return Failure::too_costly(),
        ReadError::Cursor => return Failure::invalid(BAD_CURSOR),
        ReadError::Failed(_) | ReadError::Damaged(_) => {}
    }
    tracing::error!(error = %daemon::process::describe(error), "the database can't be read");
    Failure::unavailable("The database can't be read at the moment.")
}

/// A search that is refused.
pub fn refusal(error: &SearchError) -> Failure {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    Failure::new(status, error.code(), error.to_string())
}

fn searchset(
    server: &Server,
    call: &Call<'_>,
    search: &Search,
    page: &Page,
    included: &Included,
    total: Option<u64>,
) -> Vec<u8> {
    let next = page
        .next
        .as_ref()
        .map(|next| url(call, search, Some(&next.to_string())));
    let links = next.map(|next| ("next", next));
    let matches = page.entries.iter().map(|entry| (entry, Mode::Match));
    let set = Searchset {
        base: &call.base,
        links: links.into_iter().chain([("self", url(call, search, None))]).collect(),
        total,
        issues: issues(search, included),
        entries: matches
            .chain(included.entries.iter().map(|entry| (entry, Mode::Include)))
            .collect(),
        summary: search.summary,
        elements: &search.elements,
    };
    set.write(server)
}

/// What was ignored or left out.
fn issues(search: &Search, included: &Included) -> Vec<OutcomeIssue> {
    let ignored = search
        .warnings
        .iter()
        .map(|(code, text)| OutcomeIssue::warning(code, text.as_str()));
    let cut = included.cut.then(|| {
        let text = "More resources are referenced than a page includes: the others are left out. Ask for fewer matches \
                    a page (`_count`).";
        OutcomeIssue::warning("incomplete", text)
    });
    ignored.chain(cut).collect()
}

/// The URL of this search, or of a further page of it: without `_total`, which the first page has said.
fn url(call: &Call<'_>, search: &Search, cursor: Option<&str>) -> String {
    let applied = search
        .applied
        .iter()
        .filter(|(name, _)| cursor.is_none() || name != "_total");
    call.url(applied, cursor)
}
