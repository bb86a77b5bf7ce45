//! Index rows: what is there and what should be, and the difference written.

use std::borrow::Cow;
use std::collections::HashMap;

use fhir_search::key::{self, Asked, TOKEN};
use rusqlite::{Connection, OptionalExtension, Params};

use crate::catalogue::Catalogue;
use crate::rows::Rows;

/// Texts whose numbers the writer remembers; then it forgets all of them.
const REMEMBERED: usize = 50_000;

/// The numbers of texts, as the writer knows them. Forgets what a rollback took back.
#[derive(Debug, Default)]
pub struct Values {
    known: HashMap<String, i64>,
    /// What was added since a savepoint; `None`: there is none.
    fresh: Option<Vec<String>>,
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
                if let Some(fresh) = &mut self.fresh {
                    fresh.push(text.to_owned());
                }
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

    /// A savepoint.
    pub fn begin(&mut self) {
        self.fresh = Some(Vec::new());
    }

    /// It is released.
    pub fn keep(&mut self) {
        self.fresh = None;
    }

    /// It is rolled back: what was added since isn't there.
    pub fn roll_back(&mut self) {
        for text in self.fresh.take().into_iter().flatten() {
            self.known.remove(&text);
        }
    }

    /// The whole batch was rolled back.
    pub fn forget(&mut self) {
        *self = Self::default();
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
        let long = |low: &i64, high: &i64| i64::from(Self::is_long(*low, *high));
        each(
            connection,
            "DELETE FROM ix_exact WHERE param = ?1 AND val = ?2 AND pk = ?3 AND elem = ?4",
            before
                .exact
                .difference(&self.exact)
                .map(|row| (row.0, row.1, pk, row.2)),
        )?;
        each(
            connection,
            "INSERT INTO ix_exact (param, val, pk, elem) VALUES (?1, ?2, ?3, ?4)",
            self.exact
                .difference(&before.exact)
                .map(|row| (row.0, row.1, pk, row.2)),
        )?;
        let date =
            |(param, low, high, element): &(i64, i64, i64, i64)| (*param, long(low, high), *low, *high, pk, *element);
        each(
            connection,
            "DELETE FROM ix_date WHERE param = ?1 AND long = ?2 AND lo = ?3 AND hi = ?4 AND pk = ?5 AND elem = ?6",
            before.dates.difference(&self.dates).map(date),
        )?;
        each(
            connection,
            "INSERT INTO ix_date (param, long, lo, hi, pk, elem) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            self.dates.difference(&before.dates).map(date),
        )?;
        let gone = before.numbers.difference(&self.numbers);
        each(
            connection,
            "DELETE FROM ix_number WHERE param = ?1 AND lo = ?2 AND hi = ?3 AND pk = ?4 AND system = ?5 \
             AND code = ?6 AND elem = ?7",
            gone.map(|(param, low, high, system, code, element)| (param, low, high, pk, system, code, element)),
        )?;
        let new = self.numbers.difference(&before.numbers);
        each(
            connection,
            "INSERT INTO ix_number (param, lo, hi, pk, system, code, elem) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            new.map(|(param, low, high, system, code, element)| (param, low, high, pk, system, code, element)),
        )?;
        let gone = before.strings.difference(&self.strings);
        each(
            connection,
            "DELETE FROM ix_string WHERE param = ?1 AND folded = ?2 AND pk = ?3 AND exact = ?4 AND elem = ?5",
            gone.map(|(param, folded, exact, element)| (param, folded, pk, exact, element)),
        )?;
        let new = self.strings.difference(&before.strings);
        each(
            connection,
            "INSERT INTO ix_string (param, folded, pk, exact, elem) VALUES (?1, ?2, ?3, ?4, ?5)",
            new.map(|(param, folded, exact, element)| (param, folded, pk, exact, element)),
        )?;
        if self.places != before.places {
            let gone = (!before.places.is_empty()).then_some([pk]);
            each(connection, "DELETE FROM ix_place WHERE pk = ?1", gone.into_iter())?;
            each(
                connection,
                "INSERT INTO ix_place (param, latitude, longitude, pk) VALUES (?1, ?2, ?3, ?4)",
                self.places.iter().map(|place| (place.0, place.1, place.2, pk)),
            )?;
        }
        self.replace_owned(connection, pk, before)
    }

    /// The same of those that are made of others.
    fn replace_owned(&self, connection: &Connection, pk: i64, before: &Self) -> rusqlite::Result<()> {
        let gone = before.owner_dates.difference(&self.owner_dates);
        each(
            connection,
            "DELETE FROM ix_owner_date WHERE param = ?1 AND owner = ?2 AND long = ?3 AND hi = ?4 AND pk = ?5",
            gone.map(|row| (row.param, row.owner, row.long, row.high, pk)),
        )?;
        let new = self.owner_dates.difference(&before.owner_dates);
        each(
            connection,
            "INSERT INTO ix_owner_date (param, owner, long, hi, pk, lo, via) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            new.map(|row| (row.param, row.owner, row.long, row.high, pk, row.low, row.via)),
        )?;
        let gone = before.owner_exact.difference(&self.owner_exact);
        each(
            connection,
            "DELETE FROM ix_owner_exact WHERE param = ?1 AND val = ?2 AND owner = ?3 AND pk = ?4",
            gone.map(|row| (row.param, row.value, row.owner, pk)),
        )?;
        let new = self.owner_exact.difference(&before.owner_exact);
        each(
            connection,
            "INSERT INTO ix_owner_exact (param, val, owner, pk, via) VALUES (?1, ?2, ?3, ?4, ?5)",
            new.map(|row| (row.param, row.value, row.owner, pk, row.via)),
        )
    }
}

/// Runs a statement for each row; one without rows isn't looked for.
fn each<P: Params>(connection: &Connection, sql: &str, rows: impl Iterator<Item = P>) -> rusqlite::Result<()> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    rows.try_for_each(|row| statement.execute(row).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_remembers_so_many_texts_and_no_more() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE val (id INTEGER PRIMARY KEY, text TEXT, sys INTEGER); CREATE INDEX v ON val (text, sys)",
            )
            .unwrap();
        let mut values = Values::default();
        let write = |values: &mut Values, texts: std::ops::Range<usize>| {
            for text in texts {
                values.number(&connection, &format!("text {text}")).unwrap();
            }
        };
        write(&mut values, 0..REMEMBERED + 10);
        assert_eq!((values.known.len(), &values.fresh), (10, &None), "without a savepoint");
        values.begin();
        write(&mut values, 0..20);
        assert_eq!(values.fresh, Some(Vec::new()), "they are there already");
        write(&mut values, REMEMBERED + 10..REMEMBERED + 12);
        assert_eq!(values.fresh.as_ref().map(Vec::len), Some(2));
        values.roll_back();
        assert_eq!((values.known.len(), &values.fresh), (30, &None));
        values.begin();
        write(&mut values, REMEMBERED + 20..REMEMBERED + 22);
        values.keep();
        assert_eq!((values.known.len(), &values.fresh), (32, &None));
    }
}
