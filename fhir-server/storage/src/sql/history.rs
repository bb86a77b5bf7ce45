//! Pages of history.

use fhir_resource::Micros;
use fhir_search::{Filter, Sight};

use super::condition::{At, Condition};
use super::dialect::Dialect;
use super::resolve::{Find, resolve};
use super::row::{COLUMNS, Raw};
use super::{Sql, list};
use crate::catalogue::Catalogue;
use crate::cursor::HistoryCursor;
use crate::error::ReadError;
use crate::history::{HistoryPage, HistoryQuery, Order, Scope};

/// One version more than the page has, if there is one: [`COLUMNS`] and the id. `None`: there can't be any.
///
/// Each time names one version, so a page is a range of times, in both tables.
pub fn statement<E>(
    dialect: Dialect,
    catalogue: &Catalogue,
    query: &HistoryQuery,
    find: &mut Find<'_, E>,
) -> Result<Option<Sql>, E> {
    let Some(seen) = Seen::of(catalogue, query, find)? else {
        return Ok(None);
    };
    Ok(of_seen(dialect, catalogue, query, &seen).map(|versions| versions.page(query.order, query.count + 1)))
}

/// How many versions all pages have: one row of one number. `None`: there can't be any.
pub fn count<E>(
    dialect: Dialect,
    catalogue: &Catalogue,
    query: &HistoryQuery,
    find: &mut Find<'_, E>,
) -> Result<Option<Sql>, E> {
    let Some(seen) = Seen::of(catalogue, query, find)? else {
        return Ok(None);
    };
    Ok(of_seen(dialect, catalogue, query, &seen).map(Versions::count))
}

/// Where the versions are, from `FROM` on: those that are current, and those that were.
struct Versions {
    current: Sql,
    superseded: Sql,
}

impl Versions {
    fn page(mut self, order: Order, limit: usize) -> Sql {
        let direction = match order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        for sql in [&mut self.current, &mut self.superseded] {
            sql.push(&format!(" ORDER BY r.upd {direction} LIMIT {limit}"));
        }
        let mut sql = Sql::plain(format!(
            "SELECT * FROM (SELECT * FROM (SELECT {COLUMNS}, r.id AS id FROM "
        ));
        sql.append(self.current);
        sql.push(&format!(
            ") n UNION ALL SELECT * FROM (SELECT {COLUMNS}, c.id AS id FROM "
        ));
        sql.append(self.superseded);
        sql.push(&format!(") s) a ORDER BY upd {direction} LIMIT {limit}"));
        sql
    }

    fn count(self) -> Sql {
        let mut sql = Sql::plain("SELECT (SELECT count(*) FROM ".to_owned());
        sql.append(self.current);
        sql.push(") + (SELECT count(*) FROM ");
        sql.append(self.superseded);
        sql.push(")");
        sql
    }
}

fn of_seen(dialect: Dialect, catalogue: &Catalogue, query: &HistoryQuery, seen: &Seen) -> Option<Versions> {
    let cursor = query.after.map(|cursor| cursor.updated);
    let (mut since, mut before) = (query.since.unwrap_or(Micros::MIN), query.before.unwrap_or(Micros::MAX));
    match (query.order, cursor) {
        (_, None) => {}
        (Order::NewestFirst, Some(cursor)) => before = before.min(cursor),
        (Order::OldestFirst, Some(cursor)) => since = since.max(cursor.saturating_add(1)),
    }
    let current_row = dialect.join("res", "c", "", "c.pk = r.pk");
    let (mut current, mut superseded) = match &query.scope {
        Scope::Instance(of, id) => {
            let one = |from: String| {
                let mut sql = Sql::with(from, id.clone());
                sql.push(" AND ");
                sql
            };
            let number = catalogue.type_number(of)?;
            (
                one(format!("res r WHERE r.type = {number} AND r.id = ?")),
                one(format!(
                    "res c {} WHERE c.type = {number} AND c.id = ?",
                    dialect.join("hist", "r", "", "r.pk = c.pk")
                )),
            )
        }
        Scope::Type(of) => {
            let number = catalogue.type_number(of)?;
            let (here, there) = (dialect.by("res_type_upd"), dialect.by("hist_type_upd"));
            (
                Sql::plain(format!("res r{here} WHERE r.type = {number} AND ")),
                Sql::plain(format!("hist r{there} {current_row} WHERE r.type = {number} AND ")),
            )
        }
        Scope::System => {
            let (here, there) = (dialect.by("res_upd"), dialect.by("hist_upd"));
            (
                Sql::plain(format!("res r{here} WHERE ")),
                Sql::plain(format!("hist r{there} {current_row} WHERE ")),
            )
        }
    };
    for (sql, row) in [(&mut current, "r"), (&mut superseded, "c")] {
        sql.append(Sql::with("r.upd >= ?", since));
        sql.and(Sql::with("r.upd < ?", before));
        sql.append(seen.test(dialect, row));
    }
    Some(Versions { current, superseded })
}

/// The page that the rows of [`statement`] make.
pub fn page(raws: Vec<Raw>, catalogue: &Catalogue, count: usize) -> Result<HistoryPage, ReadError> {
    let more = raws.len() > count;
    let entries = raws
        .into_iter()
        .take(count)
        .map(|raw| raw.serve(catalogue))
        .collect::<Result<Vec<_>, _>>()?;
    let next = entries.last().filter(|_| more).map(HistoryCursor::behind);
    Ok(HistoryPage { entries, next })
}

/// Which resources' versions are shown.
enum Seen {
    All,
    Some {
        /// Types that are seen whole, deletions too.
        whole: Vec<i64>,
        /// What holds for others, which must be there to be seen.
        others: Option<Box<Condition>>,
    },
}

impl Seen {
    /// `None`: nothing is seen.
    fn of<E>(catalogue: &Catalogue, query: &HistoryQuery, find: &mut Find<'_, E>) -> Result<Option<Self>, E> {
        let mut where_filter = |filter: &Filter| Ok(Some(Box::new(resolve(catalogue, filter, find)?)));
        let (Scope::Instance(of, _) | Scope::Type(of)) = &query.scope else {
            let Some(filter) = query.access.filter() else {
                return Ok(Some(Self::All));
            };
            let of_types = catalogue.types().into_iter();
            let whole = of_types.filter(|(name, _)| query.access.of(name) == Sight::Everything);
            let whole = whole.map(|(_, number)| number).collect();
            let others = if query.access.is_by_type() {
                None
            } else {
                where_filter(&filter)?
            };
            return Ok(Some(Self::Some { whole, others }));
        };
        Ok(match query.access.of(of) {
            Sight::Nothing => None,
            Sight::Everything => Some(Self::All),
            Sight::Where(filter) => Some(Self::Some {
                whole: Vec::new(),
                others: where_filter(&filter)?,
            }),
        })
    }

    /// As a further test of the resource whose current row is `row`.
    fn test(&self, dialect: Dialect, row: &str) -> Sql {
        let Self::Some { whole, others } = self else {
            return Sql::default();
        };
        let of_whole = if whole.is_empty() {
            "1 = 0".to_owned()
        } else {
            format!("{row}.type IN ({})", list(whole))
        };
        let mut sql = Sql::plain(format!(" AND ({of_whole}"));
        if let Some(condition) = others {
            let at = At {
                dialect,
                pk: format!("{row}.pk"),
                row: row.to_owned(),
                depth: 0,
            };
            sql.push(&format!(" OR {row}.body IS NOT NULL"));
            sql.and(condition.probe_at(&at));
        }
        sql.push(")");
        sql
    }
}
