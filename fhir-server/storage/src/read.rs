//! Reads by id.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::bodies;
use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::version::{Kind, Version};

/// The columns that [`Raw::of`] reads, of a table with the alias `r`.
pub const COLUMNS: &str = "r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk";

/// A row before its body is unpacked.
pub struct Raw {
    type_number: i64,
    id: String,
    version: u32,
    pub updated: i64,
    kind: i64,
    dictionary: i64,
    body: Option<Vec<u8>>,
    pub pk: i64,
}

impl Raw {
    /// Reads [`COLUMNS`], then the id.
    pub fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            type_number: row.get(0)?,
            version: row.get(1)?,
            updated: row.get(2)?,
            kind: row.get(3)?,
            dictionary: row.get(4)?,
            body: row.get(5)?,
            pk: row.get(6)?,
            id: row.get(7)?,
        })
    }

    /// The version as it is served.
    pub fn serve(self, catalogue: &Catalogue) -> Result<Version, ReadError> {
        let resource_type = catalogue.type_name(self.type_number);
        let Self {
            id, version, updated, ..
        } = self;
        let body = match &self.body {
            Some(packed) => bodies::serve(packed, self.dictionary, version, updated, || {
                format!("{resource_type}/{id}")
            })?,
            None => Vec::new(),
        };
        let resource_type = resource_type.to_owned();
        Ok(Version {
            resource_type,
            id,
            version,
            last_updated: updated,
            kind: Kind::of(self.kind),
            body,
        })
    }
}

/// The current version.
pub fn current(
    connection: &Connection,
    catalogue: &Catalogue,
    resource_type: &str,
    id: &str,
) -> Result<Option<Version>, ReadError> {
    let Some(number) = catalogue.type_number(resource_type) else {
        return Ok(None);
    };
    // the most frequent statement is a constant
    let sql =
        "SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, r.id FROM res r WHERE r.type = ?1 AND r.id = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let found = select.query_row((number, id), Raw::of).optional()?;
    found.map(|raw| raw.serve(catalogue)).transpose()
}

/// One version, current or superseded.
pub fn version(
    connection: &Connection,
    catalogue: &Catalogue,
    resource_type: &str,
    id: &str,
    version: u32,
) -> Result<Option<Version>, ReadError> {
    let Some(number) = catalogue.type_number(resource_type) else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {COLUMNS}, r.id FROM res r WHERE r.type = ?1 AND r.id = ?2 AND r.ver = ?3 UNION ALL \
         SELECT {COLUMNS}, c.id FROM res c JOIN hist r ON r.pk = c.pk AND r.ver = ?3 WHERE c.type = ?1 AND c.id = ?2"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row((number, id, version), Raw::of)
        .optional()?;
    found.map(|raw| raw.serve(catalogue)).transpose()
}
