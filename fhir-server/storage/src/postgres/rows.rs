//! Index rows as columns of a statement.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::LazyLock;

use fhir_search::Keys;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlSafeStr as _, SqlStr};

use super::decided::{Current, Name};
use super::delta::{Moment, Stored};
use super::value::clean;
use crate::catalogue::Catalogue;
use crate::rows::Rows;

/// The rows that `keys` of a resource of this type ask for, as PostgreSQL can hold them; `number` gives the number of a text.
pub fn of(catalogue: &Catalogue, of: i64, keys: &Keys, number: impl Fn(&str) -> i64) -> Rows {
    let mut number = |text: &str| Ok::<_, Infallible>(number(text));
    let Ok(mut rows) = Rows::of(catalogue, of, keys, &mut number);
    if rows
        .strings
        .iter()
        .any(|(_, folded, exact, _)| folded.contains('\0') || exact.contains('\0'))
    {
        let strings = std::mem::take(&mut rows.strings);
        let cleaned = |(param, folded, exact, element)| (param, clean(folded), clean(exact), element);
        rows.strings = strings.into_iter().map(cleaned).collect();
    }
    rows
}

/// Columns of `ix_exact`: pk, parameter, value, element.
#[derive(Debug, Default)]
pub struct Exact(pub Vec<i64>, pub Vec<i64>, pub Vec<i64>, pub Vec<i64>);

/// Columns of `ix_date`: pk, parameter, long, low, high, element.
#[derive(Debug, Default)]
pub struct Dates(
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
);

/// Columns of `ix_number`: pk, parameter, low, high, system, code, element.
#[derive(Debug, Default)]
pub struct Numbers(
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<Vec<u8>>,
    pub Vec<Vec<u8>>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
);

/// Columns of `ix_string`: pk, parameter, folded, as written, element.
#[derive(Debug, Default)]
pub struct Strings(
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<String>,
    pub Vec<String>,
    pub Vec<i64>,
);

/// Columns of `ix_place`: pk, parameter, latitude, longitude.
#[derive(Debug, Default)]
pub struct Places(pub Vec<i64>, pub Vec<i64>, pub Vec<f64>, pub Vec<f64>);

/// Columns of `ix_owner_date`: pk, parameter, owner, long, high, low, via.
#[derive(Debug, Default)]
pub struct OwnerDates(
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
    pub Vec<i64>,
);

/// Columns of `ix_owner_exact`: pk, parameter, value, owner, via.
#[derive(Debug, Default)]
pub struct OwnerKeys(pub Vec<i64>, pub Vec<i64>, pub Vec<i64>, pub Vec<i64>, pub Vec<i64>);

/// Rows of many resources.
#[derive(Debug, Default)]
pub struct Columns {
    pub exact: Exact,
    pub dates: Dates,
    pub numbers: Numbers,
    pub strings: Strings,
    pub places: Places,
    pub owner_dates: OwnerDates,
    pub owner_keys: OwnerKeys,
}

impl Columns {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let none = [
            &self.exact.0,
            &self.dates.0,
            &self.numbers.0,
            &self.strings.0,
            &self.places.0,
        ];
        let none = none.iter().all(|pks| pks.is_empty());
        none && self.owner_dates.0.is_empty() && self.owner_keys.0.is_empty()
    }

    /// Adds the rows of a resource that aren't in `without`.
    pub fn add(&mut self, pk: i64, rows: &Rows, without: &Rows) {
        for (param, value, element) in rows.exact.difference(&without.exact) {
            let Exact(pks, params, values, elements) = &mut self.exact;
            pks.push(pk);
            params.push(*param);
            values.push(*value);
            elements.push(*element);
        }
        for (param, low, high, element) in rows.dates.difference(&without.dates) {
            let Dates(pks, params, long, lows, highs, elements) = &mut self.dates;
            pks.push(pk);
            params.push(*param);
            long.push(i64::from(Rows::is_long(*low, *high)));
            lows.push(*low);
            highs.push(*high);
            elements.push(*element);
        }
        for (param, low, high, system, code, element) in rows.numbers.difference(&without.numbers) {
            let Numbers(pks, params, lows, highs, systems, codes, elements) = &mut self.numbers;
            pks.push(pk);
            params.push(*param);
            lows.push(low.clone());
            highs.push(high.clone());
            systems.push(*system);
            codes.push(*code);
            elements.push(*element);
        }
        for (param, folded, exact, element) in rows.strings.difference(&without.strings) {
            let Strings(pks, params, foldeds, exacts, elements) = &mut self.strings;
            pks.push(pk);
            params.push(*param);
            foldeds.push(folded.clone());
            exacts.push(exact.clone());
            elements.push(*element);
        }
        for place in rows.places.iter().filter(|place| !without.places.contains(place)) {
            let Places(pks, params, latitudes, longitudes) = &mut self.places;
            pks.push(pk);
            params.push(place.0);
            latitudes.push(place.1);
            longitudes.push(place.2);
        }
        self.add_owned(pk, rows, without);
    }

    /// Adds those that are made of others.
    pub fn add_owned(&mut self, pk: i64, rows: &Rows, without: &Rows) {
        for row in rows.owner_dates.difference(&without.owner_dates) {
            let OwnerDates(pks, params, owners, long, highs, lows, vias) = &mut self.owner_dates;
            pks.push(pk);
            params.push(row.param);
            owners.push(row.owner);
            long.push(row.long);
            highs.push(row.high);
            lows.push(row.low);
            vias.push(row.via);
        }
        for row in rows.owner_exact.difference(&without.owner_exact) {
            let OwnerKeys(pks, params, values, owners, vias) = &mut self.owner_keys;
            pks.push(pk);
            params.push(row.param);
            values.push(row.value);
            owners.push(row.owner);
            vias.push(row.via);
        }
    }

    /// How many of those that are made of others are there.
    pub async fn owned_there(&self, connection: &mut PgConnection) -> sqlx::Result<u64> {
        let dates = "SELECT count(*) FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], \
             $7::int8[]) u (pk, param, owner, long, hi, lo, via) JOIN ix_owner_date x ON x.param = u.param::int4 \
             AND x.owner = u.owner::int4 AND x.long = u.long::int2 AND x.hi = u.hi AND x.pk = u.pk AND x.lo = u.lo \
             AND x.via = u.via";
        let all = &self.owner_dates;
        let query = sqlx::query(dates).bind(&all.0).bind(&all.1).bind(&all.2).bind(&all.3);
        let query = query.bind(&all.4).bind(&all.5).bind(&all.6);
        let dates: i64 = query.fetch_one(&mut *connection).await?.try_get(0)?;
        let keys = "SELECT count(*) FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[]) \
             u (pk, param, val, owner, via) JOIN ix_owner_exact x ON x.param = u.param::int4 AND x.val = u.val::int4 \
             AND x.owner = u.owner::int4 AND x.pk = u.pk AND x.via = u.via";
        let all = &self.owner_keys;
        let query = sqlx::query(keys).bind(&all.0).bind(&all.1).bind(&all.2).bind(&all.3);
        let keys: i64 = query.bind(&all.4).fetch_one(connection).await?.try_get(0)?;
        Ok((dates + keys).unsigned_abs())
    }
}

/// The rows that resources have, a number for each table; `FROM` is where they are.
const ROWS: [&str; 5] = [
    "SELECT 0, x.pk, x.param, coalesce(x.elem, 0), x.val::int8, 0::int8, NULL::bytea, NULL::bytea, NULL::text, NULL::text, \
     0::float8, 0::float8, 0::int8 FROM ix_exact",
    "SELECT 1, x.pk, x.param, coalesce(x.elem, 0), x.lo, x.hi, NULL, NULL, NULL, NULL, 0, 0, 0 FROM ix_date",
    "SELECT 2, x.pk, x.param, coalesce(x.elem, 0), x.system, x.code, x.lo, x.hi, NULL, NULL, 0, 0, 0 FROM ix_number",
    "SELECT 3, x.pk, x.param, coalesce(x.elem, 0), 0, 0, NULL, NULL, x.folded, x.exact, 0, 0, 0 FROM ix_string",
    "SELECT 4, x.pk, x.param, 0, 0, 0, NULL, NULL, NULL, NULL, x.latitude, x.longitude, 0 FROM ix_place",
];
/// The resources with these names, the clock, and the rows of what is there: all of one moment.
static CURRENT: LazyLock<SqlStr> = LazyLock::new(|| {
    let mut text = "WITH n AS MATERIALIZED (SELECT u.at, r.* FROM unnest($1::int8[], $2::text[]) WITH ORDINALITY \
         u (type, id, at) JOIN LATERAL (SELECT r.* FROM res r WHERE r.type = u.type AND r.id = u.id OFFSET 0) r ON TRUE) \
         SELECT 5, n.pk, n.ver, n.at::int4, n.upd, n.dict::int8, n.body, NULL::bytea, NULL::text, NULL::text, \
         0::float8, 0::float8, n.kind::int8 FROM n \
         UNION ALL SELECT 6, s.next_pk, 0, 0, s.clock, (extract(epoch FROM clock_timestamp()) * 1000000)::int8, \
         NULL, NULL, NULL, NULL, 0, 0, s.generation FROM service s"
        .to_owned();
    for rows in ROWS {
        let (columns, table) = rows.split_once(" FROM ").unwrap_or_default();
        // a String takes every write
        let _ = write!(
            text,
            " UNION ALL {columns} FROM n JOIN LATERAL (SELECT x.* FROM {table} x WHERE x.pk = n.pk OFFSET 0) x ON TRUE \
             WHERE n.body IS NOT NULL"
        );
    }
    AssertSqlSafe(text).into_sql_str()
});
static READ: LazyLock<SqlStr> = LazyLock::new(|| {
    let parts = ROWS.map(|rows| format!("{rows} x WHERE x.pk = ANY ($1)"));
    AssertSqlSafe(parts.join(" UNION ALL ")).into_sql_str()
});

/// What is there of these names, the state of the service, and the database's time.
pub async fn current(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    mut names: Vec<Name>,
) -> sqlx::Result<(Moment, i64, Vec<(Name, Option<Current>)>)> {
    names.sort_unstable();
    names.dedup();
    let (types, ids): (Vec<i64>, Vec<String>) = names.iter().cloned().unzip();
    let (mut on, mut now) = (Moment::default(), 0);
    let mut found: HashMap<i64, (usize, Current)> = HashMap::new();
    let mut rows: HashMap<i64, Rows> = HashMap::new();
    for row in sqlx::query(CURRENT.clone())
        .bind(types)
        .bind(ids)
        .fetch_all(connection)
        .await?
    {
        let pk = row.try_get(1)?;
        match row.try_get::<i32, _>(0)? {
            5 => {
                let stored = Stored {
                    version: u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(u32::MAX),
                    updated: row.try_get(4)?,
                    kind: row.try_get(12)?,
                    dictionary: row.try_get(5)?,
                    body: row.try_get(6)?,
                };
                let at = usize::try_from(row.try_get::<i32, _>(3)?).unwrap_or_default();
                let rows = Rows::default();
                found.insert(pk, (at, Current { pk, stored, rows }));
            }
            6 => {
                on = Moment {
                    clock: row.try_get(4)?,
                    next_pk: pk,
                    generation: row.try_get::<i64, _>(12)?.cast_unsigned(),
                };
                now = row.try_get(5)?;
            }
            _ => take(&row, rows.entry(pk).or_default())?,
        }
    }
    let mut all: Vec<(Name, Option<Current>)> = names.into_iter().map(|name| (name, None)).collect();
    for (pk, (at, mut current)) in found {
        // places are counted from one
        let Some((name, place)) = at.checked_sub(1).and_then(|at| all.get_mut(at)) else {
            continue;
        };
        if let Some(mut rows) = rows.remove(&pk) {
            rows.derive(catalogue, name.0);
            current.rows = rows;
        }
        *place = Some(current);
    }
    Ok((on, now, all))
}

/// Reads the rows of resources.
pub async fn read(connection: &mut PgConnection, pks: Vec<i64>) -> sqlx::Result<HashMap<i64, Rows>> {
    let mut found: HashMap<i64, Rows> = HashMap::new();
    if pks.is_empty() {
        return Ok(found);
    }
    for row in sqlx::query(READ.clone()).bind(pks).fetch_all(connection).await? {
        take(&row, found.entry(row.try_get(1)?).or_default())?;
    }
    Ok(found)
}

/// A row of one of [`ROWS`].
fn take(row: &PgRow, rows: &mut Rows) -> sqlx::Result<()> {
    let (param, element) = (
        i64::from(row.try_get::<i32, _>(2)?),
        i64::from(row.try_get::<i32, _>(3)?),
    );
    let (one, two) = (row.try_get(4)?, row.try_get(5)?);
    match row.try_get::<i32, _>(0)? {
        0 => {
            rows.exact.insert((param, one, element));
        }
        1 => {
            rows.dates.insert((param, one, two, element));
        }
        2 => {
            rows.numbers
                .insert((param, row.try_get(6)?, row.try_get(7)?, one, two, element));
        }
        4 => rows.places.push((param, row.try_get(10)?, row.try_get(11)?)),
        _ => {
            rows.strings.insert((param, row.try_get(8)?, row.try_get(9)?, element));
        }
    }
    Ok(())
}
