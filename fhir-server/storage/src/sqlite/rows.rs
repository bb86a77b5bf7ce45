//! Index rows: what is there and what should be, and the difference written.

use std::borrow::Cow;
use std::collections::HashMap;

use fhir_search::key::{self, Asked, TOKEN};
use rusqlite::{Connection, OptionalExtension};

use crate::catalogue::Catalogue;
use crate::owned::{OwnerDate, OwnerExact};
use crate::rows::Rows;

/// Texts whose numbers the writer remembers; then it forgets all of them.
const REMEMBERED: usize = 50_000;

/// The numbers of texts, as the writer knows them. Forgets what a rollback took back.
#[derive(Debug, Default)]
pub struct Values {
    known: HashMap<String, i64>,
    fresh: Vec<String>,
}

impl Values {
    /// The number of a key, a new one where it has none.
    pub fn number(&mut self, connection: &Connection, text: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        let (own, system) = stored(text);
        let system = match system {
            None => 0,
            Some(system) => self.number(connection, &system)?,
        };
        let found = lookup(connection, &own, system)?;
        let number = match found {
            Some(number) => number,
            None => {
                self.fresh.push(text.to_owned());
                connection
                    .prepare_cached("INSERT INTO val (text, sys) VALUES (?1, ?2)")?
                    .insert((own, system))?
            }
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(text.to_owned(), number);
        Ok(number)
    }

    /// Where a set begins.
    pub fn begin(&mut self) {
        self.fresh.clear();
    }

    /// The set was rolled back: what it added isn't there.
    pub fn roll_back(&mut self) {
        for text in self.fresh.drain(..) {
            self.known.remove(&text);
        }
    }

    /// The whole batch was rolled back.
    pub fn forget(&mut self) {
        self.known.clear();
    }
}

/// The number of a key, if it has one.
pub fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    let (text, system) = stored(key);
    let system = match system {
        None => 0,
        Some(system) => match lookup(connection, &system, 0)? {
            None => return Ok(None),
            Some(number) => number,
        },
    };
    lookup(connection, &text, system)
}

/// The numbers of what a filter asks for.
pub fn asked(connection: &Connection, param: i64, asked: Asked<'_>) -> rusqlite::Result<Vec<i64>> {
    match asked {
        Asked::Key(key) => Ok(find(connection, key)?.into_iter().collect()),
        Asked::System(system) => Ok(find(connection, &key::system(system))?.into_iter().collect()),
        Asked::Code(code) => connection
            .prepare_cached(
                "SELECT v.id FROM val v INDEXED BY val_text WHERE v.text = ?1 \
                 AND EXISTS (SELECT 1 FROM ix_exact x WHERE x.param = ?2 AND x.val = v.id)",
            )?
            .query_map((format!("{TOKEN}{code}"), param), |row| row.get(0))?
            .collect(),
    }
}

/// A key as it is stored: its text, and for a token the key of its system, if it has one.
fn stored(key: &str) -> (Cow<'_, str>, Option<String>) {
    match key::parts(key) {
        None => (Cow::Borrowed(key), None),
        Some((system, code)) => (
            Cow::Owned(format!("{TOKEN}{code}")),
            (!system.is_empty()).then(|| key::system(system)),
        ),
    }
}

fn lookup(connection: &Connection, text: &str, system: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM val WHERE text = ?1 AND sys = ?2")?
        .query_row((text, system), |row| row.get(0))
        .optional()
}

impl Rows {
    /// The rows that a resource has.
    pub fn read(connection: &Connection, catalogue: &Catalogue, of: i64, pk: i64) -> rusqlite::Result<Self> {
        let all = |sql: &str| connection.prepare_cached(sql);
        let mut rows = Self {
            exact: all("SELECT param, val, elem FROM ix_exact WHERE pk = ?1")?
                .query_map([pk], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?,
            dates: all("SELECT param, lo, hi, elem FROM ix_date WHERE pk = ?1")?
                .query_map([pk], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<_>>()?,
            numbers: all("SELECT param, lo, hi, system, code, elem FROM ix_number WHERE pk = ?1")?
                .query_map([pk], |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                        row.get(5)?,
                    ))
                })?
                .collect::<rusqlite::Result<_>>()?,
            strings: all("SELECT param, folded, exact, elem FROM ix_string WHERE pk = ?1")?
                .query_map([pk], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<_>>()?,
            places: all("SELECT param, latitude, longitude FROM ix_place WHERE pk = ?1")?
                .query_map([pk], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?,
            ..Self::default()
        };
        rows.derive(catalogue, of);
        Ok(rows)
    }

    /// Makes the rows of `pk` from `before` into these: only the difference is written.
    pub fn replace(&self, connection: &Connection, pk: i64, before: &Self) -> rusqlite::Result<()> {
        let all = |sql: &str| connection.prepare_cached(sql);
        if self.exact != before.exact {
            let mut delete = all("DELETE FROM ix_exact WHERE param = ?1 AND val = ?2 AND pk = ?3 AND elem = ?4")?;
            for (param, val, element) in before.exact.difference(&self.exact) {
                delete.execute((param, val, pk, element))?;
            }
            let mut insert = all("INSERT INTO ix_exact (param, val, pk, elem) VALUES (?1, ?2, ?3, ?4)")?;
            for (param, val, element) in self.exact.difference(&before.exact) {
                insert.execute((param, val, pk, element))?;
            }
        }
        if self.dates != before.dates {
            let long = |low, high| i64::from(Self::is_long(low, high));
            let mut delete = all(
                "DELETE FROM ix_date WHERE param = ?1 AND long = ?2 AND lo = ?3 AND hi = ?4 AND pk = ?5 AND elem = ?6",
            )?;
            for (param, low, high, element) in before.dates.difference(&self.dates) {
                delete.execute((param, long(*low, *high), low, high, pk, element))?;
            }
            let mut insert =
                all("INSERT INTO ix_date (param, long, lo, hi, pk, elem) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for (param, low, high, element) in self.dates.difference(&before.dates) {
                insert.execute((param, long(*low, *high), low, high, pk, element))?;
            }
        }
        if self.numbers != before.numbers {
            let mut delete = all(
                "DELETE FROM ix_number WHERE param = ?1 AND lo = ?2 AND hi = ?3 AND pk = ?4 AND system = ?5 \
                 AND code = ?6 AND elem = ?7",
            )?;
            for (param, low, high, system, code, element) in before.numbers.difference(&self.numbers) {
                delete.execute((param, low, high, pk, system, code, element))?;
            }
            let mut insert = all(
                "INSERT INTO ix_number (param, lo, hi, pk, system, code, elem) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for (param, low, high, system, code, element) in self.numbers.difference(&before.numbers) {
                insert.execute((param, low, high, pk, system, code, element))?;
            }
        }
        if self.strings != before.strings {
            let mut delete =
                all("DELETE FROM ix_string WHERE param = ?1 AND folded = ?2 AND pk = ?3 AND exact = ?4 AND elem = ?5")?;
            for (param, folded, exact, element) in before.strings.difference(&self.strings) {
                delete.execute((param, folded, pk, exact, element))?;
            }
            let mut insert = all("INSERT INTO ix_string (param, folded, pk, exact, elem) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (param, folded, exact, element) in self.strings.difference(&before.strings) {
                insert.execute((param, folded, pk, exact, element))?;
            }
        }
        if self.places != before.places {
            all("DELETE FROM ix_place WHERE pk = ?1")?.execute([pk])?;
            let mut insert = all("INSERT INTO ix_place (param, latitude, longitude, pk) VALUES (?1, ?2, ?3, ?4)")?;
            for (param, latitude, longitude) in &self.places {
                insert.execute((param, latitude, longitude, pk))?;
            }
        }
        self.replace_owned(connection, pk, before)
    }

    /// The same of those that are made of others.
    fn replace_owned(&self, connection: &Connection, pk: i64, before: &Self) -> rusqlite::Result<()> {
        let all = |sql: &str| connection.prepare_cached(sql);
        if self.owner_dates != before.owner_dates {
            let mut delete =
                all("DELETE FROM ix_owner_date WHERE param = ?1 AND owner = ?2 AND long = ?3 AND hi = ?4 AND pk = ?5")?;
            for row in before.owner_dates.difference(&self.owner_dates) {
                delete.execute((row.param, row.owner, row.long, row.high, pk))?;
            }
            let mut insert = all(
                "INSERT INTO ix_owner_date (param, owner, long, hi, pk, lo, via) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for OwnerDate {
                param,
                owner,
                long,
                high,
                low,
                via,
            } in self.owner_dates.difference(&before.owner_dates)
            {
                insert.execute((param, owner, long, high, pk, low, via))?;
            }
        }
        if self.owner_exact != before.owner_exact {
            let mut delete =
                all("DELETE FROM ix_owner_exact WHERE param = ?1 AND val = ?2 AND owner = ?3 AND pk = ?4")?;
            for row in before.owner_exact.difference(&self.owner_exact) {
                delete.execute((row.param, row.value, row.owner, pk))?;
            }
            let mut insert =
                all("INSERT INTO ix_owner_exact (param, val, owner, pk, via) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for OwnerExact {
                param,
                value,
                owner,
                via,
            } in self.owner_exact.difference(&before.owner_exact)
            {
                insert.execute((param, value, owner, pk, via))?;
            }
        }
        Ok(())
    }
}
