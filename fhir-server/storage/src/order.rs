//! The order of a page as SQL: values to sort by, and what lies behind a cursor.

use std::fmt::Write as _;

use fhir_search::{Sort, SortBy, SortKey};

use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::sql::Sql;

/// How many values a cursor of this order has.
pub fn keys(sort: &Sort) -> usize {
    match sort {
        Sort::Creation => 0,
        Sort::UpdatedAscending | Sort::UpdatedDescending => 1,
        Sort::Values(keys) => keys.len(),
    }
}

/// The value of the resource with the row `r`.
pub fn value(catalogue: &Catalogue, key: &SortKey) -> Sql {
    let best = if key.descending { "max" } else { "min" };
    let (text, param) = match key.by {
        SortBy::Id => return Sql::plain("r.id"),
        SortBy::Updated => return Sql::plain("r.upd"),
        SortBy::Exact(param, form) => {
            let behind = char::from_u32(u32::from(form) + 1).unwrap_or(form);
            let text = format!(
                "(SELECT {best}(v.text) FROM ix_exact s INDEXED BY ix_exact_pk CROSS JOIN val v ON v.id = s.val \
                 WHERE s.pk = r.pk AND s.param = ? AND v.text >= '{form}' AND v.text < '{behind}')"
            );
            (text, param)
        }
        SortBy::Date(param) => {
            let end = if key.descending { "hi" } else { "lo" };
            (of_table("ix_date", &format!("{best}(s.{end})")), param)
        }
        SortBy::Number(param) => {
            let end = if key.descending { "hi" } else { "lo" };
            (of_table("ix_number", &format!("{best}(s.{end})")), param)
        }
        SortBy::Text(param) => (of_table("ix_string", &format!("{best}(s.folded)")), param),
    };
    Sql::with(text, catalogue.param(param))
}

fn of_table(table: &str, best: &str) -> String {
    format!("(SELECT {best} FROM {table} s INDEXED BY {table}_pk WHERE s.pk = r.pk AND s.param = ?)")
}

/// What lies behind a cursor, in the columns `k0`, `k1` … and `pk`.
pub fn behind(keys: &[SortKey], cursor: &Cursor) -> Sql {
    let mut sql = Sql::plain("(");
    for (at, (key, value)) in keys.iter().zip(&cursor.keys).enumerate() {
        equal(&cursor.keys[..at], &mut sql);
        sql.append(match (value, key.descending) {
            (Key::Nothing, false) => Sql::plain(format!("k{at} IS NOT NULL")),
            // nothing comes last
            (Key::Nothing, true) => Sql::plain("0"),
            (value, false) => Sql::with(format!("k{at} > ?"), value.clone()),
            (value, true) => Sql::with(format!("(k{at} < ? OR k{at} IS NULL)"), value.clone()),
        });
        sql.push(" OR ");
    }
    equal(&cursor.keys, &mut sql);
    sql.append(Sql::with("pk > ?)", cursor.pk));
    sql
}

fn equal(values: &[Key], sql: &mut Sql) {
    for (at, value) in values.iter().enumerate() {
        sql.append(Sql::with(format!("k{at} IS ? AND "), value.clone()));
    }
}

/// `k0, k1 DESC, pk`
pub fn by(keys: &[SortKey]) -> String {
    let mut text = String::new();
    for (at, key) in keys.iter().enumerate() {
        // a String takes every write
        let _ = write!(text, "k{at}{}, ", if key.descending { " DESC" } else { "" });
    }
    text + "pk"
}
