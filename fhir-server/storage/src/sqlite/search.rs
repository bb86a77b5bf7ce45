//! Searches: pages, counts, plans.

use std::fmt::Write as _;

use fhir_search::key::Asked;
use fhir_search::{Plan, Sort};
use rusqlite::Connection;

use super::rows;
use super::value::{numbers_as_json, texts_as_json};
use crate::catalogue::Catalogue;
use crate::cursor::{Cursor, Key};
use crate::error::ReadError;
use crate::page::{Gathering, Page};
use crate::sql::choice::{self, Hits};
use crate::sql::condition::Condition;
use crate::sql::conditions;
use crate::sql::dialect::Dialect;
use crate::sql::driving;
use crate::sql::owns::OWNERS;
use crate::sql::row::{Raw, WIDTH};
use crate::sql::statement::Chosen;
use crate::sql::{Sql, order, used};
use crate::value::Value;

/// Arguments of a statement.
const ARGUMENTS: usize = 30_000;

/// A page of at most `count` matches behind `after`.
pub fn page(
    connection: &Connection,
    catalogue: &Catalogue,
    plan: &Plan,
    count: usize,
    after: Option<&Cursor>,
) -> Result<Page, ReadError> {
    order::check(&plan.sort, after)?;
    let _moment = Moment::begin(connection)?;
    let Some(chosen) = choose(connection, catalogue, plan)? else {
        return Ok(Page::default());
    };
    let mut page = Gathering::new(count, after);
    let statement = chosen.page(catalogue, &plan.sort, count, after);
    let statement = within_limits(statement);
    let mut select = connection.prepare_cached(&statement.text)?;
    let mut rows = select.query(rusqlite::params_from_iter(statement.arguments))?;
    while let Some(row) = rows.next()? {
        let raw = Raw::borrowed(row)?;
        let keys = match &plan.sort {
            Sort::Creation => Vec::new(),
            Sort::UpdatedAscending | Sort::UpdatedDescending => vec![Key::Number(raw.updated)],
            Sort::Values(keys) => (WIDTH..WIDTH + keys.len())
                .map(|at| row.get_ref(at).map(Key::from))
                .collect::<Result<_, _>>()?,
        };
        let place = Cursor {
            keys,
            pk: raw.pk,
            backwards: false,
        };
        if !page.add(place, || raw.serve(catalogue))? {
            break;
        }
    }
    Ok(page.finish())
}

/// How many resources match.
pub fn count(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<u64, ReadError> {
    let _moment = Moment::begin(connection)?;
    let Some(chosen) = choose(connection, catalogue, plan)? else {
        return Ok(0);
    };
    Ok(number(connection, chosen.count())?.unsigned_abs())
}

/// At most `most` different keys of a parameter.
pub fn used(connection: &Connection, param: i64, most: usize) -> rusqlite::Result<Vec<String>> {
    let statement = used::statement(param, i64::try_from(most).unwrap_or(i64::MAX));
    let mut select = connection.prepare_cached(&statement.text)?;
    let rows = select.query_map(rusqlite::params_from_iter(statement.arguments), |row| row.get(0))?;
    rows.collect()
}

/// SQLite's plans of the first page, the last page and a count.
pub fn explain(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> Result<Vec<String>, ReadError> {
    let mut lines = Vec::new();
    let mut statements = Vec::new();
    for place in [None, Some(Cursor::last())] {
        let chosen = choose(connection, catalogue, plan)?;
        statements.extend(chosen.map(|chosen| chosen.page(catalogue, &plan.sort, 10, place.as_ref())));
    }
    statements.extend(choose(connection, catalogue, plan)?.map(|chosen| chosen.count()));
    for statement in statements {
        let mut select = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text))?;
        let rows = select.query_map(rusqlite::params_from_iter(statement.arguments), |row| {
            row.get::<_, String>(3)
        })?;
        lines.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(lines)
}

/// `None`: nothing can match.
fn choose(connection: &Connection, catalogue: &Catalogue, plan: &Plan) -> rusqlite::Result<Option<Chosen>> {
    let mut find = |param, asked: Asked<'_>| rows::asked(connection, param, asked);
    let Some(conditions) = conditions::conditions(catalogue, plan, &mut find)? else {
        return Ok(None);
    };
    let mut ask = |statement: Sql| numbers(connection, statement);
    let Some(conditions) = conditions.follow(Dialect::Sqlite, &mut ask)? else {
        return Ok(None);
    };
    let mut hits = |condition: &Condition, limit| hits(connection, condition, limit);
    let mut chosen = choice::choose(Dialect::Sqlite, conditions, &plan.sort, &mut hits)?;
    chosen.narrow(&mut ask)?;
    Ok(Some(chosen))
}

/// Hits of a condition in its own index, counted up to the limit.
fn hits(connection: &Connection, condition: &Condition, limit: i64) -> rusqlite::Result<Hits> {
    let rows = driving::driving_rows(Dialect::Sqlite, condition);
    // mostly few, which aren't read twice
    let few = match condition {
        Condition::Owns(owns) => Some(owns.few(Dialect::Sqlite)),
        Condition::OwnerExact { .. } => {
            let mut few = rows.clone();
            few.append(Sql::with(" LIMIT ?", OWNERS));
            Some(few)
        }
        _ => None,
    };
    if let Some(few) = few {
        let mut pks = numbers(connection, few)?;
        if i64::try_from(pks.len()).is_ok_and(|hits| hits < OWNERS) {
            pks.retain(|pk| *pk > 0);
            return Ok(Hits::Pks(pks));
        }
    }
    if let Some(leads) = driving::leads(Dialect::Sqlite, condition) {
        let mut asked = Sql::plain("SELECT ");
        asked.append(leads);
        if number(connection, asked)? == 0 {
            return Ok(Hits::Count(limit));
        }
    }
    number(connection, driving::counted(rows, limit)).map(Hits::Count)
}

/// All statements within it see the database as it is at the first one; the writer sees what it has written.
struct Moment<'a>(Option<&'a Connection>);

impl<'a> Moment<'a> {
    fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        if !connection.is_autocommit() {
            return Ok(Self(None));
        }
        connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(Some(connection)))
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.0 else { return };
        let ended = connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([]));
        let ended = ended.map(|_| ()).or_else(|_| connection.execute_batch("ROLLBACK"));
        if let Err(error) = ended {
            tracing::error!(%error, "a reader couldn't end its transaction");
        }
    }
}

fn numbers(connection: &Connection, statement: Sql) -> rusqlite::Result<Vec<i64>> {
    let statement = within_limits(statement);
    let mut select = connection.prepare_cached(&statement.text)?;
    let rows = select.query_map(rusqlite::params_from_iter(statement.arguments), |row| row.get(0))?;
    rows.collect()
}

/// The number that a statement gives.
pub fn number(connection: &Connection, statement: Sql) -> rusqlite::Result<i64> {
    let statement = within_limits(statement);
    let mut select = connection.prepare_cached(&statement.text)?;
    select.query_row(rusqlite::params_from_iter(statement.arguments), |row| row.get(0))
}

/// SQLite takes 32,766 arguments; what a statement has more stands in its text, which may be much longer.
fn within_limits(statement: Sql) -> Sql {
    if statement.arguments.len() <= ARGUMENTS {
        return statement;
    }
    let mut text = String::with_capacity(statement.text.len() * 2);
    let mut pieces = statement.text.split('?');
    text.push_str(pieces.next().unwrap_or_default());
    for (piece, argument) in pieces.zip(&statement.arguments) {
        literal(argument, &mut text);
        text.push_str(piece);
    }
    Sql::plain(text)
}

fn literal(value: &Value, text: &mut String) {
    match value {
        Value::Nothing => text.push_str("NULL"),
        Value::Integer(number) => text.push_str(&number.to_string()),
        Value::Text(value) => quoted(value, text),
        Value::Bytes(bytes) => blob(bytes, text),
        Value::Numbers(numbers) => quoted(&numbers_as_json(numbers), text),
        Value::Texts(texts) => quoted(&texts_as_json(texts), text),
    }
}

fn quoted(value: &str, text: &mut String) {
    text.push_str("CAST(");
    blob(value.as_bytes(), text);
    text.push_str(" AS TEXT)");
}

fn blob(bytes: &[u8], text: &mut String) {
    text.push_str("x'");
    for byte in bytes {
        // a String takes every write
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
}
