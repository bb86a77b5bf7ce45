//! The order of a page as SQL: values to sort by, and what lies behind a cursor.

use std::fmt::Write as _;

use fhir_search::{ParamId, Sort, SortBy, SortKey};

use super::Sql;
use super::condition::one_of_numbers;
use super::dialect::Dialect;
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::error::ReadError;

/// How many values a cursor of this order has.
fn keys(sort: &Sort) -> usize {
    match sort {
        Sort::Creation => 0,
        Sort::UpdatedAscending | Sort::UpdatedDescending => 1,
        Sort::Values(keys) => keys.len(),
    }
}

/// Whether a cursor is of this order.
pub fn check(sort: &Sort, after: Option<&Cursor>) -> Result<(), ReadError> {
    if after.is_some_and(|cursor| cursor.keys.len() != keys(sort) && !cursor.is_last()) {
        return Err(ReadError::Cursor);
    }
    Ok(())
}

/// Whether a value stands in the resource's own row.
pub fn reads_row(key: &SortKey) -> bool {
    matches!(key.by, SortBy::Id | SortBy::Updated)
}

/// The value of the resource whose pk is `p` and whose row is `r`.
pub fn value(dialect: Dialect, catalogue: &Catalogue, key: &SortKey, p: &str) -> Sql {
    let best = if key.descending { "max" } else { "min" };
    let end = if key.descending { "hi" } else { "lo" };
    let of = |table: &str, value: &str, params: &[ParamId], join: &str| {
        let by = dialect.by(&format!("{table}_pk"));
        let mut sql = Sql::plain(format!(
            "(SELECT {value} FROM {table} s{by}{join} WHERE s.pk = {p} AND {} ",
            dialect.unsought("s.param")
        ));
        let numbers: Vec<i64> = params.iter().map(|param| catalogue.param(*param)).collect();
        sql.append(one_of_numbers(dialect, &numbers));
        sql
    };
    let mut sql = match &key.by {
        SortBy::Id => return Sql::plain("r.id"),
        SortBy::Updated => return Sql::plain("r.upd"),
        SortBy::Exact(params, form) => {
            let behind = char::from_u32(u32::from(*form) + 1).unwrap_or(*form);
            let texts = format!(" {}", dialect.join("val", "v", "", "v.id = s.val"));
            let mut sql = of("ix_exact", &format!("{best}(v.text)"), params, &texts);
            sql.push(&format!(" AND v.text > '{form}' AND v.text < '{behind}'"));
            sql
        }
        SortBy::Date(params) => of("ix_date", &format!("{best}(s.{end})"), params, ""),
        SortBy::Number(params) => {
            // not every PostgreSQL has the smallest of bytes
            let first = if key.descending { " DESC" } else { "" };
            let mut sql = of("ix_number", &format!("s.{end}"), params, "");
            sql.push(&format!(" ORDER BY s.{end}{first} LIMIT 1"));
            sql
        }
        SortBy::Text(params) => of("ix_string", &format!("{best}(s.folded)"), params, ""),
    };
    sql.push(")");
    sql
}

/// What lies behind a cursor, or before it, in the columns `k0`, `k1` … and `pk`.
pub fn behind(keys: &[SortKey], cursor: &Cursor) -> Sql {
    let mut sql = Sql::plain("(");
    for (at, (key, value)) in keys.iter().zip(&cursor.keys).enumerate() {
        equal(&cursor.keys[..at], &mut sql);
        sql.append(match (value, key.descending != cursor.backwards) {
            (Key::Nothing, false) => Sql::plain(format!("k{at} IS NOT NULL")),
            // nothing comes last
            (Key::Nothing, true) => Sql::plain("FALSE"),
            (value, false) => Sql::with(format!("k{at} > ?"), value.clone()),
            (value, true) => Sql::with(format!("(k{at} < ? OR k{at} IS NULL)"), value.clone()),
        });
        sql.push(" OR ");
    }
    equal(&cursor.keys, &mut sql);
    let pk = if cursor.backwards { "pk < ?)" } else { "pk > ?)" };
    sql.append(Sql::with(pk, cursor.pk));
    sql
}

fn equal(values: &[Key], sql: &mut Sql) {
    for (at, value) in values.iter().enumerate() {
        sql.append(match value {
            Key::Nothing => Sql::plain(format!("k{at} IS NULL AND ")),
            value => Sql::with(format!("k{at} = ? AND "), value.clone()),
        });
    }
}

/// `k0 NULLS FIRST, k1 DESC NULLS LAST, pk`, or all of it the other way round.
pub fn by(keys: &[SortKey], backwards: bool) -> String {
    let mut text = String::new();
    for (at, key) in keys.iter().enumerate() {
        let nothing = if key.descending == backwards {
            " NULLS FIRST"
        } else {
            " DESC NULLS LAST"
        };
        // a String takes every write
        let _ = write!(text, "k{at}{nothing}, ");
    }
    text + if backwards { "pk DESC" } else { "pk" }
}
