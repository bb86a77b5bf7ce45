//! Pages of history.

use fhir_resource::Micros;

use super::dialect::Dialect;
use super::row::{COLUMNS, Raw};
use super::{Sql, list};
use crate::catalogue::Catalogue;
use crate::cursor::HistoryCursor;
use crate::error::ReadError;
use crate::history::{HistoryPage, HistoryQuery, Scope};

/// One version more than the page has, if there is one: [`COLUMNS`] and the id. `None`: there can't be any.
///
/// Each time names one version, so a page is a range of times, in both tables.
pub fn statement(dialect: Dialect, catalogue: &Catalogue, query: &HistoryQuery) -> Option<Sql> {
    let before = query
        .after
        .map(|cursor| cursor.updated)
        .into_iter()
        .chain(query.before)
        .min()
        .unwrap_or(Micros::MAX);
    let join = dialect.join();
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
                    "res c {join} hist r ON r.pk = c.pk WHERE c.type = {number} AND c.id = ?"
                )),
            )
        }
        Scope::Type(of) => {
            let number = catalogue.type_number(of)?;
            let (here, there) = (dialect.by("res_type_upd"), dialect.by("hist_type_upd"));
            (
                Sql::plain(format!("res r{here} WHERE r.type = {number} AND ")),
                Sql::plain(format!(
                    "hist r{there} {join} res c ON c.pk = r.pk WHERE r.type = {number} AND "
                )),
            )
        }
        Scope::System => {
            let (here, there) = (dialect.by("res_upd"), dialect.by("hist_upd"));
            (
                Sql::plain(format!("res r{here} WHERE ")),
                Sql::plain(format!("hist r{there} {join} res c ON c.pk = r.pk WHERE ")),
            )
        }
    };
    let only = query.types.as_ref().map_or(String::new(), |types| {
        let numbers: Vec<_> = types.iter().filter_map(|of| catalogue.type_number(of)).collect();
        format!(" AND r.type IN ({})", list(&numbers))
    });
    let limit = query.count + 1;
    for sql in [&mut current, &mut superseded] {
        sql.append(Sql::with("r.upd >= ?", query.since.unwrap_or(Micros::MIN)));
        sql.and(Sql::with("r.upd < ?", before));
        sql.push(&format!("{only} ORDER BY r.upd DESC LIMIT {limit}"));
    }
    let mut sql = Sql::plain(format!(
        "SELECT * FROM (SELECT * FROM (SELECT {COLUMNS}, r.id AS id FROM "
    ));
    sql.append(current);
    sql.push(&format!(
        ") n UNION ALL SELECT * FROM (SELECT {COLUMNS}, c.id AS id FROM "
    ));
    sql.append(superseded);
    sql.push(&format!(") s) a ORDER BY upd DESC LIMIT {limit}"));
    Some(sql)
}

/// The page that the rows of [`statement`] make.
pub fn page(raws: Vec<Raw>, catalogue: &Catalogue, count: usize) -> Result<HistoryPage, ReadError> {
    let more = raws.len() > count;
    let entries = raws
        .into_iter()
        .take(count)
        .map(|raw| raw.serve(catalogue))
        .collect::<Result<Vec<_>, _>>()?;
    let next = entries.last().filter(|_| more).map(|last| HistoryCursor {
        updated: last.last_updated,
    });
    Ok(HistoryPage { entries, next })
}
