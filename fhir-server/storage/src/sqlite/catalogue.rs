//! The numbers that this database gives to types and parameters.

use std::collections::HashMap;

use fhir_definitions::FhirVersion;
use rusqlite::Connection;

use crate::catalogue::{Catalogue, Definition, EXTRACTOR_REVISION};

/// Reads the numbers and gives new ones to what has none.
pub fn load(connection: &mut Connection, version: FhirVersion) -> rusqlite::Result<Catalogue> {
    let transaction = connection.transaction()?;
    let mut types = read_types(&transaction)?;
    let mut params = read_params(&transaction)?;
    let catalogue = Catalogue::of(
        version,
        |name| match types.remove(name) {
            Some(number) => Ok(number),
            None => transaction
                .prepare_cached("INSERT INTO type (name) VALUES (?1)")?
                .insert([name]),
        },
        |definition| match params.remove(&definition) {
            Some(number) => Ok(number),
            None => transaction
                .prepare_cached("INSERT INTO param (base, code, expression, revision) VALUES (?1, ?2, ?3, ?4)")?
                .insert((
                    definition.base,
                    definition.code,
                    definition.expression,
                    EXTRACTOR_REVISION,
                )),
        },
    )?;
    transaction.commit()?;
    Ok(catalogue)
}

fn read_types(connection: &Connection) -> rusqlite::Result<HashMap<String, i64>> {
    connection
        .prepare("SELECT name, id FROM type")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn read_params(connection: &Connection) -> rusqlite::Result<HashMap<Definition, i64>> {
    let mut select = connection.prepare("SELECT base, code, expression, id FROM param WHERE revision = ?1")?;
    let rows = select.query_map([EXTRACTOR_REVISION], |row| {
        let definition = Definition {
            base: row.get(0)?,
            code: row.get(1)?,
            expression: row.get(2)?,
        };
        Ok((definition, row.get(3)?))
    })?;
    rows.collect()
}
