//! Values to SQLite and back.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::cursor::Key;
use crate::sql::list;
use crate::value::Value;

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            // SQLite has no lists: they are JSON
            Self::Numbers(numbers) => return Ok(numbers_as_json(numbers).into()),
            Self::Texts(texts) => return Ok(texts_as_json(texts).into()),
            Self::Nothing => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A JSON array.
pub fn numbers_as_json(numbers: &[i64]) -> String {
    format!("[{}]", list(numbers))
}

/// A JSON array.
pub fn texts_as_json(texts: &[String]) -> String {
    let mut json = b"[".to_vec();
    for text in texts {
        if json.len() > 1 {
            json.push(b',');
        }
        fhir_resource::write_string(&text.replace('\0', "\u{FFFD}"), &mut json);
    }
    json.push(b']');
    String::from_utf8_lossy(&json).into_owned()
}

impl From<ValueRef<'_>> for Key {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null | ValueRef::Real(_) => Self::Nothing,
            ValueRef::Integer(number) => Self::Number(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}
