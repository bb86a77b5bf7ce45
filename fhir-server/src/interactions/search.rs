//! search: by type, over types, in a compartment; GET and POST; and the pages of what a search includes (`$includes`).

use std::time::{Duration, Instant};

use fhir_search::parse::{Summary, Target, Total};
use fhir_search::{Handling, Plan, Search, SearchError};
use fhir_storage::{Cursor, Effort, Included, Page, ReadError};
use http::StatusCode;

use super::pages::{self, Links, Place};
use super::searchset::{Mode, Searchset};
use crate::access::Action;
use crate::http::call::{Call, INCLUDES};
use crate::http::failure::{Failure, OutcomeIssue, Result};
use crate::http::place::BAD_PLACE;
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;
use crate::terminology;

/// How long is counted for an estimate; where that isn't enough there is no total.
const ESTIMATE: Duration = Duration::from_millis(250);

/// Finds and shows a page.
pub async fn search(server: &Server, call: &Call<'_>, interaction: &Interaction) -> Result<Reply> {
    let target = match interaction {
        Interaction::SearchType(of) => Target::Type(*of),
        Interaction::SearchCompartment { name, id, of } => Target::Compartment {
            name: name.clone(),
            id: id.clone(),
            of: *of,
        },
        Interaction::Operation(operation) => operation.of.map_or(Target::System, Target::Type),
        _ => Target::System,
    };
    if let Target::Type(of) | Target::Compartment { of: Some(of), .. } = &target {
        call.principal.require(Action::Search, *of)?;
    }
    let pairs = pages::asked(server, call).await?;
    let handling = if call.prefer.strict {
        Handling::Strict
    } else {
        Handling::Lenient
    };
    let visible = call.principal.visible();
    let partial = call.prefer.partial_indices.then(|| server.parser.partial());
    let parser = partial.as_ref().unwrap_or(&server.parser);
    let search = terminology::search::parse_by(server, parser, &target, &pairs, handling, &visible).await?;
    let mut links = Links::of(server, call, &search);
    let place = links.place().await?;
    if matches!(interaction, Interaction::Operation(_)) && place.includes.is_none() {
        return Err(Failure::invalid(format!(
            "'{INCLUDES}' shows what a page of a search includes: follow the link `related` of that page."
        )));
    }
    let only_count = search.summary == Summary::Count || search.count == 0;
    let page = if only_count {
        Page::default()
    } else {
        page(server, &search.plan, search.count, place.cursor.as_ref()).await?
    };
    let most = usize::try_from(server.limits.includes()).unwrap_or(usize::MAX);
    let most = search.includes_count.map_or(most, |count| count.min(most));
    let skip = place.includes.unwrap_or(0);
    let included = if search.includes.is_empty() {
        Included::default()
    } else {
        let window = skip..skip.saturating_add(most);
        let included = server
            .store
            .included(&page.entries, &search.includes, &visible, window, server.effort())
            .await;
        included.map_err(|error| storage(&error))?
    };
    let total = total(server, &search, &place, only_count).await?;
    let shown = Shown {
        search: &search,
        place: &place,
        page: &page,
        included: &included,
        more: included.cut.then_some(skip.saturating_add(most)),
        total,
    };
    Ok(Reply::ok(shown.write(server, call, &mut links).await?))
}

/// The number of matches, where it is wanted: of the first page, since further ones would count again and again.
async fn total(server: &Server, search: &Search, place: &Place, only_count: bool) -> Result<Option<u64>> {
    let first = place.cursor.is_none() && place.includes.is_none();
    if !only_count && (search.total == Total::None || !first) {
        return Ok(None);
    }
    let estimate = search.total == Total::Estimate && !only_count;
    let effort = if estimate {
        Effort::Until(Instant::now() + ESTIMATE)
    } else {
        server.effort()
    };
    match server.store.count(&search.plan, effort).await {
        Ok(total) => Ok(Some(total)),
        Err(ReadError::TooMuch) if estimate => Ok(None),
        Err(error) => Err(storage(&error)),
    }
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
        ReadError::Busy => return Failure::throttled(),
        ReadError::Cursor => return Failure::invalid(BAD_PLACE),
        ReadError::Lost(_) | ReadError::Failed(_) | ReadError::Damaged(_) => {}
    }
    tracing::error!(error = %daemon::process::describe(error), "the database can't be read");
    Failure::unavailable("The database can't be read at the moment.")
}

/// A search that is refused.
pub fn refusal(error: &SearchError) -> Failure {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    Failure::new(status, error.code(), error.to_string())
}

/// What a page of a search shows.
struct Shown<'a> {
    search: &'a Search,
    place: &'a Place,
    page: &'a Page,
    included: &'a Included,
    /// Where further included resources begin, if there are any.
    more: Option<usize>,
    total: Option<u64>,
}

impl Shown<'_> {
    async fn write(&self, server: &Server, call: &Call<'_>, links: &mut Links<'_>) -> Result<Vec<u8>> {
        let cursor = self.place.cursor.as_ref();
        let only_includes = self.place.includes.is_some();
        let mut found = Vec::new();
        if let Some(next) = self.page.next.as_ref().filter(|_| !only_includes) {
            found.push(("next", links.page(next).await?));
        }
        if let Some(more) = self.more {
            let further = links.includes(cursor, more).await?;
            if only_includes {
                found.push(("next", further.clone()));
            }
            found.push(("related", further));
        }
        found.push(("self", links.own().await?));
        if !only_includes && (self.page.next.is_some() || cursor.is_some()) {
            found.push(("first", links.first().await?));
            if let Some(previous) = &self.page.previous {
                found.push(("previous", links.page(previous).await?));
            }
            found.push(("last", links.page(&Cursor::last()).await?));
        }
        let matches = self.page.entries.iter().filter(|_| !only_includes);
        let matches = matches.map(|entry| (entry, Mode::Match));
        let included = self.included.entries.iter().map(|entry| (entry, Mode::Include));
        let set = Searchset {
            base: &call.base,
            links: found,
            total: self.total,
            issues: self.issues(),
            entries: matches.chain(included).collect(),
            summary: self.search.summary,
            elements: &self.search.elements,
        };
        Ok(set.write(server))
    }

    /// What was ignored or left out.
    fn issues(&self) -> Vec<OutcomeIssue> {
        let ignored = self.search.warnings.iter();
        let ignored = ignored.map(|(code, text)| OutcomeIssue::warning(code, text.as_str()));
        let cut = self.more.map(|_| {
            let text =
                "Included items are truncated. Use the related link in the response to retrieve all included items.";
            OutcomeIssue::warning("incomplete", text)
        });
        ignored.chain(cut).collect()
    }
}
