//! Texts and their numbers. A text keeps its number for ever, so it may be remembered; that it has none may not. A lost
//! connection forgets all: a server that crashed may have lost texts that nothing durable used yet.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fhir_search::key::{self, Asked, TOKEN};
use fhir_search::{Filter, Keys};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, Row as _};

use super::value;
use crate::catalogue::Catalogue;
use crate::sql::resolve::are_shared;

/// Texts that are remembered; then all are forgotten.
const REMEMBERED: usize = 50_000;
/// Bytes of a text that PostgreSQL's index takes; of a longer one it has the beginning and a SHA-256.
const LONGEST: usize = 2_000;
/// Bytes of that beginning.
const BEGINNING: usize = 1_500;

/// Finds known texts and gives new ones a number. It commits at once, so that no lock is held while others wait, and not
/// to the disk: a commit that uses the numbers does that, on the same connection.
const NUMBER: &str = "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)), \
     asked AS MATERIALIZED (SELECT u.text, u.sys FROM quick, unnest($1::text[], $2::int8[]) u (text, sys)), \
     fresh AS (INSERT INTO val (text, sys) SELECT a.text, a.sys FROM asked a \
     WHERE NOT EXISTS (SELECT 1 FROM val v WHERE v.text = a.text AND v.sys = a.sys OFFSET 0) ORDER BY a.text, a.sys \
     ON CONFLICT (text, sys) DO NOTHING RETURNING id, text, sys) \
     SELECT v.id, v.text, v.sys FROM asked a \
     JOIN LATERAL (SELECT v.* FROM val v WHERE v.text = a.text AND v.sys = a.sys OFFSET 0) v ON TRUE \
     UNION ALL SELECT f.id, f.text, f.sys FROM fresh f";
/// Finds texts with their systems, and codes in any system that they have in rows of a parameter: whose turn it is, its
/// place among those asked for, its number.
const FIND: &str = "SELECT FALSE, u.n, v.id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u (text, system, n) \
     LEFT JOIN LATERAL (SELECT s.id FROM val s WHERE s.text = u.system AND s.sys = 0 OFFSET 0) s ON TRUE \
     JOIN LATERAL (SELECT v.id FROM val v WHERE v.text = u.text \
     AND v.sys = CASE WHEN u.system IS NULL THEN 0 ELSE s.id END OFFSET 0) v ON TRUE \
     UNION ALL SELECT TRUE, u.n, v.id FROM unnest($3::text[], $4::int8[]) WITH ORDINALITY u (text, param, n) \
     JOIN LATERAL (SELECT v.id FROM val v WHERE v.text = u.text OFFSET 0) v ON TRUE \
     WHERE EXISTS (SELECT 1 FROM ix_exact x WHERE x.param = u.param AND x.val = v.id OFFSET 0)";

/// Remembered numbers of keys.
#[derive(Debug, Default)]
pub struct Texts {
    known: Mutex<HashMap<String, i64>>,
}

/// What keys and filters need the numbers of.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    keys: BTreeSet<&'a str>,
    /// Codes whose system isn't said, by parameter.
    codes: BTreeSet<(i64, &'a str)>,
}

/// The numbers of some keys.
#[derive(Debug, Default)]
pub struct Numbers {
    keys: HashMap<String, i64>,
    codes: HashMap<(i64, String), Vec<i64>>,
}

impl Numbers {
    /// The number of a key, if it has one.
    pub fn get(&self, key: &str) -> Option<i64> {
        self.keys.get(fitted(key).as_ref()).copied()
    }

    /// The numbers of what a filter asks for.
    pub fn of(&self, param: i64, asked: Asked<'_>) -> Vec<i64> {
        match asked {
            Asked::Key(key) => self.get(key).into_iter().collect(),
            Asked::System(system) => self.get(&key::system(system)).into_iter().collect(),
            Asked::Code(code) => {
                let found = self.codes.get(&(param, code.to_owned()));
                found.cloned().unwrap_or_default()
            }
        }
    }
}

impl<'a> Wanted<'a> {
    /// The texts that keys need.
    pub fn add_keys(&mut self, keys: &'a Keys) {
        self.keys.extend(keys.exact.iter().map(|(_, text)| text.as_str()));
        let units = keys
            .numbers
            .iter()
            .flat_map(|row| [row.system.as_str(), row.code.as_str()]);
        self.keys.extend(units.filter(|unit| !unit.is_empty()));
        for element in &keys.elements {
            self.add_keys(element);
        }
    }

    /// One key.
    pub fn add(&mut self, key: &'a str) {
        self.keys.insert(key);
    }

    /// The texts that filters look for.
    fn add_filters(&mut self, catalogue: &Catalogue, filters: &'a [Filter]) {
        for filter in filters {
            match filter {
                Filter::Any(filters) if are_shared(filters) => {
                    for filter in filters {
                        let Filter::Exact(param, keys) = filter else { continue };
                        let codes = keys.iter().filter_map(|key| key::parts(key));
                        self.codes
                            .extend(codes.map(|(_, code)| (catalogue.param(*param), code)));
                        self.add_filters(catalogue, std::slice::from_ref(filter));
                    }
                }
                Filter::Any(filters)
                | Filter::All(filters)
                | Filter::Together(filters)
                | Filter::Linked { filters, .. }
                | Filter::LinkedBy { filters, .. } => self.add_filters(catalogue, filters),
                Filter::Not(filter) => self.add_filters(catalogue, std::slice::from_ref(filter)),
                Filter::Exact(param, keys) => {
                    for key in keys {
                        match Asked::by(key) {
                            Asked::Code(code) => self.codes.insert((catalogue.param(*param), code)),
                            Asked::Key(_) | Asked::System(_) => self.keys.insert(key),
                        };
                    }
                }
                Filter::Number(_, test) => {
                    let units = [&test.system, &test.code].into_iter().flatten();
                    self.keys.extend(units.map(String::as_str));
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
}

impl Texts {
    /// After a lost connection.
    pub fn forget(&self) {
        self.known().clear();
    }

    /// The numbers of what filters look for.
    pub async fn of_filters(
        &self,
        connection: &mut PgConnection,
        catalogue: &Catalogue,
        filters: &[Filter],
    ) -> sqlx::Result<Numbers> {
        let mut wanted = Wanted::default();
        wanted.add_filters(catalogue, filters);
        self.find(connection, &wanted).await
    }

    /// The numbers of those that have one.
    pub async fn find(&self, connection: &mut PgConnection, wanted: &Wanted<'_>) -> sqlx::Result<Numbers> {
        let mut numbers = Numbers::default();
        let unknown = self.unknown(wanted.keys.iter().copied(), &mut numbers);
        if unknown.is_empty() && wanted.codes.is_empty() {
            return Ok(numbers);
        }
        let (texts, systems): (Vec<_>, Vec<_>) = unknown.iter().map(|key| (&key.text, key.system.as_ref())).unzip();
        let codes: Vec<(i64, &str)> = wanted.codes.iter().copied().collect();
        let params: Vec<i64> = codes.iter().map(|(param, _)| *param).collect();
        let any: Vec<String> = codes.iter().map(|(_, code)| token(code)).collect();
        let query = sqlx::query(FIND).bind(texts).bind(systems).bind(any).bind(params);
        let rows = query.fetch_all(connection).await?;
        let mut known = self.known();
        make_room(&mut known, unknown.len());
        for row in rows {
            let number = i64::from(row.try_get::<i32, _>(2)?);
            let at = usize::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
            if row.try_get(0)? {
                if let Some((param, code)) = codes.get(at.wrapping_sub(1)) {
                    let found = numbers.codes.entry((*param, (*code).to_owned())).or_default();
                    found.push(number);
                }
            } else if let Some(key) = unknown.get(at.wrapping_sub(1)) {
                known.insert(key.name.clone(), number);
                numbers.keys.insert(key.name.clone(), number);
            }
        }
        Ok(numbers)
    }

    /// The number of each key, a new one where it has none.
    pub async fn number(&self, connection: &mut PgConnection, wanted: &Wanted<'_>) -> sqlx::Result<Numbers> {
        let mut numbers = Numbers::default();
        let unknown = self.unknown(wanted.keys.iter().copied(), &mut numbers);
        // the number of a token's system stands beside its code
        let systems: BTreeSet<&str> = unknown.iter().filter_map(|key| key.system.as_deref()).collect();
        let systems = self.unknown(systems.into_iter(), &mut numbers);
        for mut unknown in [systems, unknown] {
            while !unknown.is_empty() {
                // another replica may be faster with some: the next statement sees its rows
                self.learn(connection, &unknown, &mut numbers).await?;
                unknown.retain(|key| !numbers.keys.contains_key(&key.name));
            }
        }
        Ok(numbers)
    }

    /// Those that aren't remembered, each once; sorted, so that two replicas never wait for each other.
    fn unknown<'k>(&self, keys: impl Iterator<Item = &'k str>, numbers: &mut Numbers) -> Vec<Key> {
        let known = self.known();
        let mut unknown = BTreeSet::new();
        for key in keys {
            let name = fitted(key);
            match known.get(name.as_ref()) {
                Some(number) => {
                    numbers.keys.insert(name.into_owned(), *number);
                }
                None => {
                    unknown.insert(Key::of(key, name.into_owned()));
                }
            }
        }
        unknown.into_iter().collect()
    }

    async fn learn(&self, connection: &mut PgConnection, keys: &[Key], numbers: &mut Numbers) -> sqlx::Result<()> {
        let mut names = HashMap::with_capacity(keys.len());
        let (mut texts, mut systems) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for key in keys {
            // every system has its number by now
            let system = key.system.as_deref().and_then(|system| numbers.get(system));
            let system = system.unwrap_or_default();
            texts.push(key.text.as_str());
            systems.push(system);
            names.insert((key.text.as_str(), system), key.name.as_str());
        }
        let rows = sqlx::query(NUMBER).bind(texts).bind(systems);
        let rows = rows.fetch_all(connection).await?;
        let mut known = self.known();
        make_room(&mut known, rows.len());
        for row in rows {
            let number = i64::from(row.try_get::<i32, _>(0)?);
            let name = (row.try_get(1)?, row.try_get::<i32, _>(2)?.into());
            if let Some(name) = names.get(&name) {
                known.insert((*name).to_owned(), number);
                numbers.keys.insert((*name).to_owned(), number);
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(known: &mut HashMap<String, i64>, count: usize) {
    if known.len() + count > REMEMBERED {
        known.clear();
    }
}

/// A key as it is stored.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Of a token the code.
    text: String,
    /// Of a token the key of its system, if it has one.
    system: Option<String>,
    /// What it is remembered by.
    name: String,
}

impl Key {
    fn of(key: &str, name: String) -> Self {
        let (text, system) = match key::parts(key) {
            None => (name.clone(), None),
            Some((system, code)) => (
                token(code),
                (!system.is_empty()).then(|| fitted(&key::system(system)).into_owned()),
            ),
        };
        Self { text, system, name }
    }
}

/// The text of a code, without its system.
fn token(code: &str) -> String {
    fitted(&format!("{TOKEN}{code}")).into_owned()
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
