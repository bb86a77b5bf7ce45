//! Reads by id, and the row of a version.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::sql::row::{COLUMNS, Raw};
use crate::version::Version;

impl Raw {
    /// Reads [`COLUMNS`], then the id.
    pub fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let raw = Raw::borrowed(row)?;
        Ok(Self {
            body: raw.body.map(<[u8]>::to_vec),
            type_number: raw.type_number,
            version: raw.version,
            updated: raw.updated,
            kind: raw.kind,
            dictionary: raw.dictionary,
            pk: raw.pk,
            id: raw.id,
        })
    }
}

impl<'a> Raw<&'a [u8]> {
    /// The same while the row is at hand: its body isn't copied to be unpacked.
    pub fn borrowed(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            type_number: row.get(0)?,
            version: row.get(1)?,
            updated: row.get(2)?,
            kind: row.get(3)?,
            dictionary: row.get(4)?,
            body: row.get_ref(5)?.as_blob_or_null()?,
            pk: row.get(6)?,
            id: row.get(7)?,
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
    let mut rows = select.query((number, id))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Raw::borrowed(row)?.serve(catalogue).map(Some)
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
