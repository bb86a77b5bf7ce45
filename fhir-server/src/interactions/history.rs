//! history of a resource, a type, everything: newest first, or oldest first with `_sort=_lastUpdated`.

use fhir_resource::temporal;
use fhir_search::Access;
use fhir_search::parse::Summary;
use fhir_storage::{HistoryCursor, HistoryPage, HistoryQuery, Kind, Order, Scope, Version};
use http::StatusCode;
use uuid::Uuid;

use super::searchset::now;
use super::{read, search, subset};
use crate::access::Action;
use crate::http::call::{CURSOR, Call, etag, query_string};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;
use crate::http::place::BAD_PLACE;
use crate::http::reply::Reply;
use crate::http::route::Interaction;
use crate::server::Server;

/// Parameters that the links repeat.
const REPEATED: [&str; 7] = ["_count", "_since", "_before", "_at", "_sort", "_summary", "_elements"];

/// A page of versions.
pub async fn history(server: &Server, call: &Call<'_>, interaction: &Interaction) -> Result<Reply> {
    // SMART counts the history of one resource as reading, that of many as searching
    let (action, scope) = match interaction {
        Interaction::HistoryInstance(of, id) => {
            call.principal.require(Action::Read, *of)?;
            (Action::Read, Scope::Instance(of.name().to_owned(), id.clone()))
        }
        Interaction::HistoryType(of) => {
            call.principal.require(Action::Search, *of)?;
            (Action::Search, Scope::Type(of.name().to_owned()))
        }
        _ => (Action::Search, Scope::System),
    };
    let bound = call.bound(repeated(call));
    let after = match call.parameter(CURSOR) {
        None => None,
        Some(token) => {
            let place = server.places.open(&bound, token).await?;
            Some(place.parse().map_err(|_| Failure::invalid(BAD_PLACE))?)
        }
    };
    let query = query(server, call, scope, call.principal.access(action), after)?;
    let first_page = query.after.is_none() && query.since.is_none() && query.before.is_none();
    let part = subset::wanted(&call.query)?;
    if only_counted(call, part.0) {
        let total = total(server, query).await?;
        if let Interaction::HistoryInstance(of, id) = interaction
            && total == 0
            && first_page
        {
            return Err(Failure::not_found(of.name(), id));
        }
        return Ok(Reply::ok(bundle(call, &HistoryPage::default(), None, Some(total))));
    }
    let mut page = page(server, query).await?;
    if let Interaction::HistoryInstance(of, id) = interaction
        && page.entries.is_empty()
        && first_page
    {
        return Err(Failure::not_found(of.name(), id));
    }
    if part.0 != Summary::False || !part.1.is_empty() {
        for entry in page.entries.iter_mut().filter(|entry| !entry.body.is_empty()) {
            entry.body = subset::of(server.definitions, std::mem::take(&mut entry.body), part.0, &part.1);
        }
    }
    let next = match &page.next {
        Some(next) => Some(server.places.seal(&bound, &next.to_string()).await?),
        None => None,
    };
    Ok(Reply::ok(bundle(call, &page, next, None)))
}

/// `_summary=count`, or `_count=0`, which is the same.
fn only_counted(call: &Call<'_>, summary: Summary) -> bool {
    summary == Summary::Count || call.parameter("_count").and_then(|count| count.parse().ok()) == Some(0)
}

/// How many versions are seen.
async fn total(server: &Server, mut query: HistoryQuery) -> Result<u64> {
    if query.access.is_by_type() {
        let count = server.store.history_count(&query, server.effort()).await;
        return count.map_err(|error| search::storage(&error));
    }
    let mut total = 0;
    query.count = server.parser.max_count;
    loop {
        let found = stored(server, &query).await?;
        let seen = found.entries.iter();
        let seen = seen.filter(|version| read::admits(server, &query.access, version));
        total += u64::try_from(seen.count()).unwrap_or_default();
        match found.next {
            None => return Ok(total),
            Some(next) => query.after = Some(next),
        }
    }
}

/// A page of the versions that are seen: of resources that are seen, those that would be seen by themselves.
async fn page(server: &Server, mut query: HistoryQuery) -> Result<HistoryPage> {
    if query.access.is_by_type() {
        return stored(server, &query).await;
    }
    let count = query.count;
    let mut shown = HistoryPage::default();
    loop {
        let found = stored(server, &query).await?;
        let seen = found.entries.into_iter();
        let mut seen = seen.filter(|version| read::admits(server, &query.access, version));
        shown.entries.extend(seen.by_ref().take(count - shown.entries.len()));
        let more = seen.next().is_some();
        if !more {
            let Some(next) = found.next else { return Ok(shown) };
            query.after = Some(next);
            if shown.entries.len() < count {
                continue;
            }
            // what follows may all be hidden: there is another page only if something of it is seen
            if !goes_on(server, query).await? {
                return Ok(shown);
            }
        }
        shown.next = shown.entries.last().map(HistoryCursor::behind);
        return Ok(shown);
    }
}

/// Whether any further version is seen.
async fn goes_on(server: &Server, mut query: HistoryQuery) -> Result<bool> {
    loop {
        let found = stored(server, &query).await?;
        let mut versions = found.entries.iter();
        if versions.any(|version| read::admits(server, &query.access, version)) {
            return Ok(true);
        }
        match found.next {
            None => return Ok(false),
            Some(next) => query.after = Some(next),
        }
    }
}

async fn stored(server: &Server, query: &HistoryQuery) -> Result<HistoryPage> {
    let page = server.store.history(query, server.effort()).await;
    page.map_err(|error| search::storage(&error))
}

fn query(
    server: &Server,
    call: &Call<'_>,
    scope: Scope,
    access: Access,
    after: Option<HistoryCursor>,
) -> Result<HistoryQuery> {
    let moment = |name: &str| match call.parameter(name) {
        None => Ok(None),
        // a plus that wasn't escaped has come as a blank
        Some(text) => temporal::parse(&text.replace(' ', "+"))
            .map(Some)
            .ok_or_else(|| Failure::invalid(format!("The date time string '{text}' is not in a correct format."))),
    };
    let (mut since, mut before, at) = (moment("_since")?, moment("_before")?, moment("_at")?);
    if at.is_some() && (since.is_some() || before.is_some()) {
        let text = "The '_at' parameter can't be combined with '_since' or '_before'.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "not-supported", text));
    }
    if before.is_some_and(|before| before.start > jiff::Timestamp::now().as_microsecond()) {
        return Err(Failure::invalid("Parameter _before cannot a be a value in the future."));
    }
    if let Some(at) = at {
        since = Some(at);
        before = Some(temporal::Moment {
            start: at.end + 1,
            ..at
        });
    }
    let count = match call.parameter("_count") {
        None => server.parser.default_count,
        Some(text) => {
            let count = text.parse::<usize>().ok();
            let count = count.ok_or_else(|| Failure::invalid(format!("The _count value '{text}' is not a number.")))?;
            count.clamp(1, server.parser.max_count)
        }
    };
    let order = match call.parameter("_sort") {
        None | Some("" | "-_lastUpdated") => Order::NewestFirst,
        Some("_lastUpdated") => Order::OldestFirst,
        Some(other) => {
            return Err(Failure::invalid(format!(
                "Sorting by the '{other}' parameter is not supported. A history is sorted by '_lastUpdated' or \
                 '-_lastUpdated'."
            )));
        }
    };
    Ok(HistoryQuery {
        scope,
        order,
        access,
        since: since.map(|moment| moment.start),
        before: before.map(|moment| moment.start),
        count,
        after,
    })
}

fn bundle(call: &Call<'_>, page: &HistoryPage, next: Option<String>, total: Option<u64>) -> Vec<u8> {
    let size: usize = page.entries.iter().map(|entry| entry.body.len() + 384).sum();
    let mut json = Json::with_capacity(size + 512);
    json.object(|json| {
        json.member("resourceType", "Bundle")
            .member("id", &Uuid::new_v4().to_string());
        json.name("meta").object(|json| {
            json.member("lastUpdated", &now());
        });
        json.member("type", "history");
        if let Some(total) = total {
            json.number("total", total);
        }
        json.name("link").array(|json| {
            let mut link = |relation: &str, cursor: Option<String>| {
                json.object(|json| {
                    json.member("relation", relation)
                        .member("url", &url(call, cursor.as_deref()));
                });
            };
            if next.is_some() {
                link("next", next);
            }
            link("self", None);
        });
        if !page.entries.is_empty() {
            json.name("entry")
                .array(|json| page.entries.iter().for_each(|entry| version(call, entry, json)));
        }
    });
    json.finish()
}

fn version(call: &Call<'_>, entry: &Version, json: &mut Json) {
    let path = format!("{}/{}", entry.resource_type, entry.id);
    let (method, url, status) = match entry.kind {
        Kind::Created if entry.version == 1 => ("POST", entry.resource_type.clone(), "201 Created"),
        Kind::Created => ("PUT", path.clone(), "201 Created"),
        Kind::Updated => ("PUT", path.clone(), "200 OK"),
        Kind::Deleted => ("DELETE", path.clone(), "204 NoContent"),
    };
    json.object(|json| {
        json.member("fullUrl", &format!("{}/{path}", call.base));
        if !entry.body.is_empty() {
            json.name("resource").raw(&entry.body);
        }
        json.name("request").object(|json| {
            json.member("method", method).member("url", &url);
        });
        json.name("response").object(|json| {
            json.member("status", status).member("etag", &etag(entry.version));
            json.member("lastModified", &temporal::instant(entry.last_updated));
        });
    });
}

fn url(call: &Call<'_>, cursor: Option<&str>) -> String {
    let query = query_string(repeated(call).chain(cursor.map(|cursor| (CURSOR, cursor))));
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}/{}{separator}{query}", call.base, call.path.join("/"))
}

/// The parameters that further pages repeat.
fn repeated<'c>(call: &'c Call<'_>) -> impl Iterator<Item = (&'c str, &'c str)> {
    let repeated = call.query.iter().filter(|(name, _)| REPEATED.contains(&name.as_str()));
    repeated.map(|(name, value)| (name.as_str(), value.as_str()))
}
