//! History, newest first: of an instance, a type, the service.

use std::collections::BTreeSet;

use fhir_resource::Micros;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::catalogue::Catalogue;
use crate::cursor::HistoryCursor;
use crate::error::ReadError;
use crate::read::{COLUMNS, Raw};
use crate::version::Version;

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One resource: type, id.
    Instance(String, String),
    /// All of a type.
    Type(String),
    /// All.
    System,
}

/// A page of history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose.
    pub scope: Scope,
    /// Only these types (access); `None`: all.
    pub types: Option<BTreeSet<String>>,
    /// Versions from this time on.
    pub since: Option<Micros>,
    /// Versions before this time.
    pub before: Option<Micros>,
    /// Versions a page.
    pub count: usize,
    /// Where the page begins.
    pub after: Option<HistoryCursor>,
}

/// Versions, newest first, and where the next page begins.
#[derive(Debug)]
pub struct HistoryPage {
    /// The versions.
    pub entries: Vec<Version>,
    /// `None`: this was the last page.
    pub next: Option<HistoryCursor>,
}

/// Each time names one version, so a page is a range of times, in both tables.
pub fn page(connection: &Connection, catalogue: &Catalogue, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
    let empty = HistoryPage {
        entries: Vec::new(),
        next: None,
    };
    let before = query
        .after
        .map(|cursor| cursor.updated)
        .into_iter()
        .chain(query.before)
        .min()
        .unwrap_or(Micros::MAX);
    let mut arguments: Vec<Value> = vec![query.since.unwrap_or(Micros::MIN).into(), before.into()];
    let (current, superseded) = match &query.scope {
        Scope::Instance(of, id) => {
            let Some(number) = catalogue.type_number(of) else {
                return Ok(empty);
            };
            arguments.extend([number.into(), id.clone().into()]);
            (
                "res r WHERE r.type = ?3 AND r.id = ?4 AND",
                "res c CROSS JOIN hist r ON r.pk = c.pk WHERE c.type = ?3 AND c.id = ?4 AND",
            )
        }
        Scope::Type(of) => {
            let Some(number) = catalogue.type_number(of) else {
                return Ok(empty);
            };
            arguments.push(number.into());
            (
                "res r INDEXED BY res_type_upd WHERE r.type = ?3 AND",
                "hist r INDEXED BY hist_type_upd CROSS JOIN res c ON c.pk = r.pk WHERE r.type = ?3 AND",
            )
        }
        Scope::System => (
            "res r INDEXED BY res_upd WHERE",
            "hist r INDEXED BY hist_upd CROSS JOIN res c ON c.pk = r.pk WHERE",
        ),
    };
    let mut only = String::new();
    if let Some(types) = &query.types {
        let numbers: Vec<_> = types
            .iter()
            .filter_map(|of| catalogue.type_number(of))
            .map(|n| n.to_string())
            .collect();
        only = format!(" AND r.type IN ({})", numbers.join(", "));
    }
    let limit = query.count + 1;
    let range = format!("r.upd >= ?1 AND r.upd < ?2{only} ORDER BY r.upd DESC LIMIT {limit}");
    let sql = format!(
        "SELECT * FROM (SELECT * FROM (SELECT {COLUMNS}, r.id AS id FROM {current} {range}) UNION ALL \
         SELECT * FROM (SELECT {COLUMNS}, c.id AS id FROM {superseded} {range})) ORDER BY upd DESC LIMIT {limit}"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let raws = select
        .query_map(rusqlite::params_from_iter(arguments), Raw::of)?
        .collect::<Result<Vec<_>, _>>()?;
    let more = raws.len() > query.count;
    let mut entries = Vec::with_capacity(query.count);
    for raw in raws.into_iter().take(query.count) {
        entries.push(raw.serve(catalogue)?);
    }
    let next = entries.last().filter(|_| more).map(|last| HistoryCursor {
        updated: last.last_updated,
    });
    Ok(HistoryPage { entries, next })
}
