//! The definitions of search parameters that aren't FHIR's.

use rusqlite::Connection;

use crate::error::ReadError;
use crate::parameters::{DefinitionChange, InUse, State, Stored};

/// All that are there, in one generation.
pub fn read(connection: &Connection) -> Result<InUse, ReadError> {
    // one statement: generation and definitions are of the same moment
    let sql = "SELECT s.generation, d.number, d.owner, d.content, d.state FROM service s LEFT JOIN definition d ORDER BY d.number";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut found = InUse::default();
    while let Some(row) = rows.next()? {
        found.generation = row.get::<_, i64>(0)?.unsigned_abs();
        if let Some(number) = row.get(1)? {
            found.stored.push(Stored {
                number,
                owner: row.get(2)?,
                definition: row.get(3)?,
                state: State::of(row.get(4)?),
            });
        }
    }
    Ok(found)
}

/// The generation of the database.
pub fn generation(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT generation FROM service", [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Makes the next generation.
pub fn change(connection: &Connection, change: &DefinitionChange) -> rusqlite::Result<()> {
    let set = "UPDATE definition SET state = ?2 WHERE number = ?1";
    let states = change.ready.iter().map(|number| (number, State::Ready));
    for (number, state) in states.chain(change.retire.iter().map(|number| (number, State::Retired))) {
        connection.prepare_cached(set)?.execute((number, state.number()))?;
    }
    let insert =
        "INSERT INTO definition (number, owner, content, state) SELECT next_definition, ?1, ?2, ?3 FROM service";
    for new in &change.add {
        connection
            .prepare_cached(insert)?
            .execute((&new.owner, &new.definition, State::Filling.number()))?;
        connection.execute("UPDATE service SET next_definition = next_definition + 1", [])?;
    }
    connection.execute("UPDATE service SET generation = generation + 1", [])?;
    Ok(())
}
