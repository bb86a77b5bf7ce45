//! Texts and their numbers. A text keeps its number for ever, so it may be remembered; that it has none may not. A lost
//! connection forgets all: a server that crashed may have lost texts that nothing durable used yet.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fhir_search::{Filter, Keys};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, Row as _};

use super::value;

/// Texts that are remembered; then all are forgotten.
const REMEMBERED: usize = 50_000;
/// Bytes of a text that PostgreSQL's index takes; of a longer one it has the beginning and a SHA-256.
const LONGEST: usize = 2_000;
/// Bytes of that beginning.
const BEGINNING: usize = 1_500;

/// Finds known texts and gives new ones a number. It commits at once, so that no lock is held while others wait, and not
/// to the disk: a commit that uses the numbers does that, on the same connection.
const NUMBER: &str = "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)), \
     asked AS MATERIALIZED (SELECT u.text FROM quick, unnest($1::text[]) u (text)), \
     fresh AS (INSERT INTO val (text) SELECT a.text FROM asked a \
     WHERE NOT EXISTS (SELECT 1 FROM val v WHERE v.text = a.text OFFSET 0) ORDER BY a.text \
     ON CONFLICT (text) DO NOTHING RETURNING id, text) \
     SELECT v.id, v.text FROM asked a \
     JOIN LATERAL (SELECT v.id, v.text FROM val v WHERE v.text = a.text OFFSET 0) v ON TRUE UNION ALL SELECT f.id, f.text FROM fresh f";
const FIND: &str = "SELECT v.id, v.text FROM unnest($1::text[]) u (text) \
     JOIN LATERAL (SELECT v.id, v.text FROM val v WHERE v.text = u.text OFFSET 0) v ON TRUE";

/// Remembered numbers of texts.
#[derive(Debug, Default)]
pub struct Texts {
    known: Mutex<HashMap<String, i64>>,
}

/// The numbers of some texts.
#[derive(Debug, Default)]
pub struct Numbers(HashMap<String, i64>);

impl Numbers {
    /// The number of a text, if it has one.
    pub fn get(&self, text: &str) -> Option<i64> {
        self.0.get(fitted(text).as_ref()).copied()
    }
}

impl Texts {
    /// After a lost connection.
    pub fn forget(&self) {
        self.known().clear();
    }

    /// The numbers of those that have one.
    pub async fn find(&self, connection: &mut PgConnection, texts: &BTreeSet<&str>) -> sqlx::Result<Numbers> {
        let mut numbers = Numbers::default();
        let unknown = self.unknown(texts, &mut numbers);
        if !unknown.is_empty() {
            self.learn(connection, FIND, &unknown, &mut numbers).await?;
        }
        Ok(numbers)
    }

    /// The number of each of them, a new one where it has none.
    pub async fn number(&self, connection: &mut PgConnection, texts: &BTreeSet<&str>) -> sqlx::Result<Numbers> {
        let mut numbers = Numbers::default();
        // sorted, so that two replicas never wait for each other
        let mut unknown = self.unknown(texts, &mut numbers);
        while !unknown.is_empty() {
            // another replica may be faster with some: the next statement sees its rows
            self.learn(connection, NUMBER, &unknown, &mut numbers).await?;
            unknown.retain(|text| !numbers.0.contains_key(text));
        }
        Ok(numbers)
    }

    fn unknown(&self, texts: &BTreeSet<&str>, numbers: &mut Numbers) -> Vec<String> {
        let known = self.known();
        let mut unknown = BTreeSet::new();
        for text in texts {
            let text = fitted(text);
            match known.get(text.as_ref()) {
                Some(number) => {
                    numbers.0.insert(text.into_owned(), *number);
                }
                None => {
                    unknown.insert(text.into_owned());
                }
            }
        }
        unknown.into_iter().collect()
    }

    async fn learn(
        &self,
        connection: &mut PgConnection,
        sql: &'static str,
        texts: &[String],
        numbers: &mut Numbers,
    ) -> sqlx::Result<()> {
        let rows = sqlx::query(sql).bind(texts).fetch_all(connection).await?;
        let mut known = self.known();
        if known.len() + rows.len() > REMEMBERED {
            known.clear();
        }
        for row in rows {
            let (number, text): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
            known.insert(text.clone(), number.into());
            numbers.0.insert(text, number.into());
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text as it is stored.
fn fitted(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return if text.contains('\0') {
            Cow::Owned(value::clean(text.to_owned()))
        } else {
            Cow::Borrowed(text)
        };
    }
    let beginning = &text[..text.floor_char_boundary(BEGINNING)];
    let digest = Sha256::digest(text.as_bytes());
    let mut fitted = value::clean(beginning.to_owned());
    fitted.push('\u{1F}');
    for byte in digest {
        // a String takes every write
        let _ = write!(fitted, "{byte:02x}");
    }
    Cow::Owned(fitted)
}

/// The texts that keys need.
pub fn of_keys<'a>(keys: &'a Keys, texts: &mut BTreeSet<&'a str>) {
    texts.extend(keys.exact.iter().map(|(_, text)| text.as_str()));
    let units = keys
        .numbers
        .iter()
        .flat_map(|row| [row.system.as_str(), row.code.as_str()]);
    texts.extend(units.filter(|unit| !unit.is_empty()));
    for element in &keys.elements {
        of_keys(element, texts);
    }
}

/// The texts that filters look for.
pub fn of_filters<'a>(filters: &'a [Filter], texts: &mut BTreeSet<&'a str>) {
    for filter in filters {
        match filter {
            Filter::Any(filters)
            | Filter::All(filters)
            | Filter::Together(filters)
            | Filter::Linked { filters, .. }
            | Filter::LinkedBy { filters, .. } => of_filters(filters, texts),
            Filter::Not(filter) => of_filters(std::slice::from_ref(filter), texts),
            Filter::Exact(_, keys) => texts.extend(keys.iter().map(String::as_str)),
            Filter::Number(_, test) => {
                let units = [&test.system, &test.code].into_iter().flatten();
                texts.extend(units.map(String::as_str));
            }
            Filter::Prefix(..)
            | Filter::Date(..)
            | Filter::Text(..)
            | Filter::Near(..)
            | Filter::Present(..)
            | Filter::Id(_)
            | Filter::Updated(_)
            | Filter::Type(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_fit_and_stay_apart() {
        let long = |end: &str| format!("u{}{end}", "ä".repeat(2_000));
        assert_eq!(fitted("short"), "short");
        assert!(fitted(&long("1")).len() < LONGEST);
        assert_ne!(fitted(&long("1")), fitted(&long("2")));
    }
}
