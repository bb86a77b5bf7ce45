//! Statements and values to PostgreSQL, and rows back.

use std::fmt::Write as _;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, TypeInfo as _, ValueRef as _};

use crate::cursor::Key;
use crate::sql::row::Raw;
use crate::sql::{Sql, list};
use crate::value::Value;

/// A prepared statement with its arguments. All text of ours: what users write comes in arguments only.
pub fn query(sql: Sql) -> Query<'static, Postgres, PgArguments> {
    bind(sqlx::query(AssertSqlSafe(numbered(&sql.text, 1))), sql.arguments)
}

/// How a statement is done, a line each: the plan that serves all arguments, which is what a connection keeps.
pub async fn explain(connection: &mut PgConnection, sql: Sql) -> sqlx::Result<Vec<String>> {
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for argument in &sql.arguments {
        let (of, value) = match argument {
            Value::Nothing => ("int8", "NULL".to_owned()),
            Value::Integer(number) => ("int8", number.to_string()),
            Value::Text(text) => ("text", literal(&clean(text.clone()))),
            Value::Bytes(bytes) => {
                let mut hex = String::new();
                for byte in bytes {
                    // a String takes every write
                    let _ = write!(hex, "{byte:02x}");
                }
                ("bytea", format!("'\\x{hex}'"))
            }
            Value::Numbers(numbers) => ("int8[]", format!("'{{{}}}'", list(numbers))),
            Value::Texts(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| literal(&clean(text.clone()))).collect();
                ("text[]", format!("ARRAY[{}]", texts.join(", ")))
            }
        };
        types.push(of);
        values.push(value);
    }
    let in_parentheses = |parts: Vec<String>| {
        if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        }
    };
    let types = in_parentheses(types.into_iter().map(str::to_owned).collect());
    let prepare = format!("PREPARE asked{types} AS {}", numbered(&sql.text, 1));
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await?;
    let explain = format!("EXPLAIN EXECUTE asked{}", in_parentheses(values));
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await;
    sqlx::raw_sql("DEALLOCATE asked").execute(connection).await?;
    rows?.iter().map(|row| row.try_get(0)).collect()
}

/// A text that stands in a statement.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Binds arguments behind those that are bound already.
pub fn bind(
    mut query: Query<'static, Postgres, PgArguments>,
    arguments: Vec<Value>,
) -> Query<'static, Postgres, PgArguments> {
    for argument in arguments {
        query = match argument {
            Value::Nothing => query.bind(None::<i64>),
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(clean(text)),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Numbers(numbers) => query.bind(numbers),
            Value::Texts(texts) => query.bind(texts.into_iter().map(clean).collect::<Vec<_>>()),
        };
    }
    query
}

/// PostgreSQL's placeholders have numbers; these begin with `first`.
pub fn numbered(text: &str, first: usize) -> String {
    let mut numbered = String::with_capacity(text.len() + 32);
    for (number, piece) in (first..).zip(text.split('?')) {
        if number > first {
            let number = number - 1;
            // a String takes every write
            let _ = write!(numbered, "${number}");
        }
        numbered.push_str(piece);
    }
    numbered
}

/// PostgreSQL's texts have no NUL.
pub fn clean(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

impl Raw {
    /// Reads [`COLUMNS`](crate::sql::row::COLUMNS), then the id.
    pub fn of_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            type_number: row.try_get::<i16, _>(0)?.into(),
            version: u32::try_from(row.try_get::<i32, _>(1)?).unwrap_or(u32::MAX),
            updated: row.try_get(2)?,
            kind: row.try_get::<i16, _>(3)?.into(),
            dictionary: row.try_get::<i16, _>(4)?.into(),
            body: row.try_get(5)?,
            pk: row.try_get(6)?,
            id: row.try_get(7)?,
        })
    }
}

/// A value that is sorted by.
pub fn key(row: &PgRow, at: usize) -> sqlx::Result<Key> {
    let (nothing, of) = {
        let value = row.try_get_raw(at)?;
        (value.is_null(), value.type_info().name().to_owned())
    };
    if nothing {
        return Ok(Key::Nothing);
    }
    match of.as_str() {
        "TEXT" => row.try_get(at).map(Key::Text),
        "BYTEA" => row.try_get(at).map(Key::Bytes),
        _ => row.try_get(at).map(Key::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_and_texts_have_no_nul() {
        assert_eq!(numbered("a = ? AND b IN (?, ?)", 1), "a = $1 AND b IN ($2, $3)");
        assert_eq!(clean("a\0b".to_owned()), "a\u{FFFD}b");
    }
}
