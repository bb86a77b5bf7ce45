//! The links between a search's pages: sealed places, and names of queries that are too long or too private for a URL.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fhir_search::Search;
use fhir_storage::{Cursor, KeptQuery};
use http::Method;

use super::search::storage;
use crate::http::call::{self, CURSOR, Call, INCLUDES, Pairs, pairs, query_string};
use crate::http::failure::{Failure, Result};
use crate::http::place::BAD_PLACE;
use crate::server::Server;

/// The place of a page of included resources (Microsoft's name).
pub const INCLUDES_CURSOR: &str = "includesCt";
/// The name of a query that is kept.
const KEPT: &str = "_query-kept";
/// Said by every request for itself.
const PRESENTATION: [&str; 2] = ["_format", "_pretty"];

/// A query with more bytes than this isn't repeated in links.
const LONG: usize = 2_048;
/// Microseconds for which a query is kept.
const DAY: i64 = 86_400_000_000;

/// Where a page begins.
#[derive(Debug, Default)]
pub struct Place {
    /// Behind or before this match; `None`: the first page.
    pub cursor: Option<Cursor>,
    /// Only what is included with the page, without the first ones.
    pub includes: Option<usize>,
}

/// Makes the links of one search.
pub struct Links<'a> {
    server: &'a Server,
    call: &'a Call<'a>,
    applied: &'a Pairs,
    /// The search and who asks, as places are bound to them.
    bound: String,
    /// What further pages repeat.
    repeated: Option<Pairs>,
}

/// The parameters of a search: those of the request, or of the query that it names.
pub async fn asked(server: &Server, call: &Call<'_>) -> Result<Pairs> {
    let own = |(name, _): &&(String, String)| ![CURSOR, INCLUDES_CURSOR, KEPT].contains(&name.as_str());
    let Some(name) = call.parameter(KEPT) else {
        return Ok(call.query.iter().filter(own).cloned().collect());
    };
    let kept = server.store.kept_query(name).await.map_err(|error| storage(&error))?;
    let kept = kept.filter(|kept| kept.owner == call.principal.fingerprint() && kept.until > now());
    let kept = kept.ok_or_else(|| Failure::invalid(format!("{BAD_PLACE} Start the search again.")))?;
    Ok(pairs(&kept.text))
}

impl<'a> Links<'a> {
    /// The links of this search.
    pub fn of(server: &'a Server, call: &'a Call<'a>, search: &'a Search) -> Self {
        Self {
            server,
            call,
            applied: &search.applied,
            bound: call.bound(further(&search.applied)),
            repeated: None,
        }
    }

    /// Where the page that is asked for begins.
    pub async fn place(&self) -> Result<Place> {
        let bad = || Failure::invalid(format!("{BAD_PLACE} Start the search again."));
        if let Some(token) = self.call.parameter(INCLUDES_CURSOR) {
            let text = self.server.places.open(&self.bound, token).await?;
            let (skip, cursor) = text.split_once('~').ok_or_else(bad)?;
            let cursor = (!cursor.is_empty()).then(|| cursor.parse()).transpose();
            return Ok(Place {
                cursor: cursor.map_err(|_| bad())?,
                includes: Some(skip.parse().map_err(|_| bad())?),
            });
        }
        let Some(token) = self.call.parameter(CURSOR) else {
            return Ok(Place::default());
        };
        let text = self.server.places.open(&self.bound, token).await?;
        Ok(Place {
            cursor: Some(text.parse().map_err(|_| bad())?),
            includes: None,
        })
    }

    /// This search from its begin.
    pub async fn first(&mut self) -> Result<String> {
        let repeated = self.repeated().await?;
        Ok(self.url(&repeated, None, None))
    }

    /// What was asked, as it was understood.
    pub async fn own(&mut self) -> Result<String> {
        if query_string(further(self.applied)).len() > LONG {
            return self.first().await;
        }
        Ok(self.url(self.applied, None, None))
    }

    /// Another page of matches.
    pub async fn page(&mut self, cursor: &Cursor) -> Result<String> {
        let token = self.server.places.seal(&self.bound, &cursor.to_string()).await?;
        let repeated = self.repeated().await?;
        Ok(self.url(&repeated, None, Some((CURSOR, &token))))
    }

    /// What else is included with the page that begins at `cursor`.
    pub async fn includes(&mut self, cursor: Option<&Cursor>, skip: usize) -> Result<String> {
        let cursor = cursor.map(ToString::to_string).unwrap_or_default();
        let place = format!("{skip}~{cursor}");
        let token = self.server.places.seal(&self.bound, &place).await?;
        let repeated = self.repeated().await?;
        // a compartment has no operations: its own URL shows them
        let operation = (self.call.searched().count() <= 1).then_some(INCLUDES);
        Ok(self.url(&repeated, operation, Some((INCLUDES_CURSOR, &token))))
    }

    fn url(&self, pairs: &Pairs, operation: Option<&str>, place: Option<(&str, &str)>) -> String {
        let shown = self
            .call
            .query
            .iter()
            .filter(|(name, _)| PRESENTATION.contains(&name.as_str()));
        let shown = shown.map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(shown);
        let query = query_string(pairs.chain(place));
        call::url(&self.call.base, self.call.searched().chain(operation), &query)
    }

    /// The parameters that further pages repeat: their name where they are kept.
    async fn repeated(&mut self) -> Result<Pairs> {
        if let Some(repeated) = &self.repeated {
            return Ok(repeated.clone());
        }
        let query = query_string(further(self.applied));
        // who sends a query as a form keeps it out of URLs
        let is_form = self.call.method == Method::POST || self.call.parameter(KEPT).is_some();
        let repeated = if !query.is_empty() && (is_form || query.len() > LONG) {
            vec![(KEPT.to_owned(), self.keep(query).await?)]
        } else {
            further(self.applied)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        self.repeated = Some(repeated.clone());
        Ok(repeated)
    }

    /// Keeps a query for a day; gives its name.
    async fn keep(&self, text: String) -> Result<String> {
        let name = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, self.bound.as_bytes()));
        let store = &self.server.store;
        let kept = store.kept_query(&name).await.map_err(|error| storage(&error))?;
        if kept.is_none_or(|kept| kept.until < now() + DAY / 2) {
            let query = KeptQuery {
                name: name.clone(),
                owner: self.call.principal.fingerprint(),
                text,
                until: now() + DAY,
            };
            store.keep_query(query, now()).await.map_err(|error| {
                tracing::warn!(error = %daemon::process::describe(&error), "a query couldn't be kept");
                Failure::unavailable("The query of the next page can't be kept at the moment.")
            })?;
        }
        Ok(name)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// A total is of the first page.
fn further(applied: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    let pairs = applied.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.filter(|(name, _)| *name != "_total")
}
