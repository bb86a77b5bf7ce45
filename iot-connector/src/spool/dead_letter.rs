//! What could not be used, with its reason, on the same file as the queue.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{Micros, SpoolError};

/// Where in the pipeline something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The device mapping.
    Normalise,
    /// Grouping by the FHIR mapping.
    Group,
    /// Finding device, patient and encounter.
    Identity,
    /// Making or merging the Observation.
    Observation,
    /// The FHIR server refused it.
    Write,
}

impl Stage {
    /// Its name in the spool, in metrics and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normalise => "normalise",
            Self::Group => "group",
            Self::Identity => "identity",
            Self::Observation => "observation",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why (a part of) a message is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where it failed.
    pub stage: Stage,
    /// The error's name, for counting and filtering.
    pub reason: String,
    /// The error's text, for people.
    pub detail: String,
    /// `typeName` of the template.
    pub template: Option<String>,
    /// The expression or JSON path.
    pub path: Option<String>,
}

/// A dead letter that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it for good.
    pub id: i64,
    /// The message's id.
    pub message: i64,
    /// When it died.
    pub died: Micros,
    /// When the message was accepted.
    pub received: Micros,
    /// With `received` its order among readings.
    pub position: i64,
    /// The stage's name.
    pub stage: String,
    /// The error's name.
    pub reason: String,
    /// The error's text.
    pub detail: String,
    /// `typeName` of the template.
    pub template: Option<String>,
    /// The expression or JSON path.
    pub path: Option<String>,
    /// The device's bytes; not in lists.
    pub body: Option<Vec<u8>>,
    /// JSON text with `Properties` and `SystemProperties`; not in lists.
    pub context: Option<String>,
}

/// Which dead letters are meant; all conditions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DeadLetterFilter {
    /// This one.
    pub id: Option<i64>,
    /// Those of a stage.
    pub stage: Option<String>,
    /// Those with a reason.
    pub reason: Option<String>,
    /// Those of a template.
    pub template: Option<String>,
}

impl DeadLetterFilter {
    /// One dead letter.
    pub fn one(id: i64) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }
}

/// The condition of a filter with parameters ?1 to ?4.
pub(super) const CONDITION: &str = "(?1 IS NULL OR id = ?1) AND (?2 IS NULL OR stage = ?2)
    AND (?3 IS NULL OR reason = ?3) AND (?4 IS NULL OR template = ?4)";

const COLUMNS: &str = "id, position, died, received, stage, reason, detail, template, path";

pub(super) fn list(
    connection: &Connection,
    filter: &DeadLetterFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<DeadLetter>, SpoolError> {
    let sql = format!("SELECT {COLUMNS} FROM dead_letters WHERE {CONDITION} AND id > ?5 ORDER BY id LIMIT ?6");
    let mut statement = connection.prepare_cached(&sql)?;
    let parameters = params![filter.id, filter.stage, filter.reason, filter.template, after, limit];
    let rows = statement.query_map(parameters, head)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn get(connection: &Connection, id: i64) -> Result<Option<DeadLetter>, SpoolError> {
    let sql = format!("SELECT {COLUMNS}, body, context FROM dead_letters WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let letter = statement.query_row([id], |row| {
        Ok(DeadLetter {
            body: Some(row.get(9)?),
            context: Some(row.get(10)?),
            ..head(row)?
        })
    });
    Ok(letter.optional()?)
}

/// Those of a message, oldest first, without their payloads.
pub(super) fn of_message(connection: &Connection, message: i64) -> Result<Vec<DeadLetter>, SpoolError> {
    let sql = format!("SELECT {COLUMNS} FROM dead_letters WHERE position = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([message], head)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn oldest(connection: &Connection) -> Result<Option<Micros>, SpoolError> {
    let mut statement = connection.prepare_cached("SELECT died FROM dead_letters ORDER BY id LIMIT 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

fn head(row: &Row<'_>) -> Result<DeadLetter, rusqlite::Error> {
    Ok(DeadLetter {
        id: row.get(0)?,
        message: row.get(1)?,
        position: row.get(1)?,
        died: row.get(2)?,
        received: row.get(3)?,
        stage: row.get(4)?,
        reason: row.get(5)?,
        detail: row.get(6)?,
        template: row.get(7)?,
        path: row.get(8)?,
        body: None,
        context: None,
    })
}
