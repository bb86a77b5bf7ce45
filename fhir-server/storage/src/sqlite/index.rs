//! Index rows that are made, and removed, after their resource was written.

use std::time::{Duration, Instant};

use fhir_search::ParamId;
use rusqlite::{Connection, OptionalExtension};

use super::write::Writer;
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::error::{CommitError, ReadError};
use crate::index::{Filling, Scanned};

/// How long one transaction of background work may take the writer.
const PATIENCE: Duration = Duration::from_millis(10);
/// Rows that are removed between two looks at the time.
const ROWS: u32 = 200;

/// The pk of a resource.
pub fn pk(
    connection: &Connection,
    catalogue: &Catalogue,
    resource_type: &str,
    id: &str,
) -> Result<Option<i64>, ReadError> {
    let sql = "SELECT pk FROM res WHERE type = ?1 AND id = ?2 AND body IS NOT NULL";
    let number = catalogue.type_number(resource_type);
    let found = connection
        .prepare_cached(sql)?
        .query_row((number, id), |row| row.get(0));
    Ok(found.optional()?)
}

/// Live resources of a type behind `after`, by pk.
pub fn scan(
    connection: &Connection,
    catalogue: &Catalogue,
    resource_type: &str,
    after: i64,
    count: usize,
) -> Result<Vec<Scanned>, ReadError> {
    let Some(number) = catalogue.type_number(resource_type) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT pk, id, ver, upd, dict, body FROM res INDEXED BY res_live \
               WHERE type = ?1 AND pk > ?2 AND body IS NOT NULL ORDER BY pk LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query((number, after, i64::try_from(count).unwrap_or(i64::MAX)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(1)?;
        let body: Vec<u8> = row.get(5)?;
        let stored = bodies::unpack(&body, row.get(4)?, || format!("{resource_type}/{id}"))?;
        found.push(Scanned {
            pk: row.get(0)?,
            id,
            version: row.get(2)?,
            last_updated: row.get(3)?,
            stored,
        });
    }
    Ok(found)
}

impl Writer {
    /// Writes rows of the stored definitions with these numbers (none: of all parameters) as far as its time goes, and
    /// gives back what is left. Resources that have changed since are passed over: they have theirs.
    pub fn fill(&mut self, mut each: Vec<Filling>, definitions: &[u32]) -> Result<Vec<Filling>, CommitError> {
        let begun = Instant::now();
        let mut done = 0;
        for filling in &each {
            if filling.keys.generation != self.generation || begun.elapsed() >= PATIENCE {
                break;
            }
            self.fill_one(filling, definitions)?;
            done += 1;
        }
        Ok(each.split_off(done))
    }

    /// Removes rows of a retired definition as far as its time goes; whether none is left.
    pub fn sweep(&mut self, definition: u32) -> Result<bool, CommitError> {
        let begun = Instant::now();
        let block = ParamId::block(definition);
        for table in ["ix_exact", "ix_date", "ix_number", "ix_string", "ix_place"] {
            let key = match table {
                "ix_exact" => "param, val, pk, elem",
                "ix_date" => "param, long, lo, hi, pk, elem",
                "ix_number" => "param, lo, hi, pk, system, code, elem",
                "ix_string" => "param, folded, pk, elem, exact",
                _ => "param, latitude, longitude, pk",
            };
            let sql = format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE param >= ?1 AND param < ?2 LIMIT {ROWS})"
            );
            while self
                .connection
                .prepare_cached(&sql)?
                .execute((block.start, block.end))?
                > 0
            {
                if begun.elapsed() >= PATIENCE {
                    return Ok(false);
                }
            }
        }
        self.connection
            .execute("DELETE FROM definition WHERE number = ?1 AND state = 2", [definition])?;
        Ok(true)
    }
}
