//! Index rows as columns of a statement.

use std::collections::HashMap;
use std::convert::Infallible;

use fhir_search::Keys;

use sqlx::{PgConnection, Row as _};

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

    /// Deletes these rows.
    pub async fn delete(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let Exact(pks, params, values, elements) = &self.exact;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_exact x USING unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) \
                 u (pk, param, val, elem) WHERE x.pk = u.pk AND x.param = u.param AND x.val = u.val AND x.elem = u.elem";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(values).bind(elements);
            query.execute(&mut *connection).await?;
        }
        let Dates(pks, params, _, lows, highs, elements) = &self.dates;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_date x USING unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[]) \
                 u (pk, param, lo, hi, elem) WHERE x.pk = u.pk AND x.param = u.param AND x.lo = u.lo AND x.hi = u.hi \
                 AND x.elem = u.elem";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(lows).bind(highs);
            query.bind(elements).execute(&mut *connection).await?;
        }
        let Numbers(pks, params, lows, highs, systems, codes, elements) = &self.numbers;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_number x USING unnest($1::int8[], $2::int8[], $3::bytea[], $4::bytea[], \
                 $5::int8[], $6::int8[], $7::int8[]) u (pk, param, lo, hi, system, code, elem) WHERE x.pk = u.pk \
                 AND x.param = u.param AND x.lo = u.lo AND x.hi = u.hi AND x.system = u.system AND x.code = u.code \
                 AND x.elem = u.elem";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(lows).bind(highs);
            let query = query.bind(systems).bind(codes).bind(elements);
            query.execute(&mut *connection).await?;
        }
        let Strings(pks, params, foldeds, exacts, elements) = &self.strings;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_string x USING unnest($1::int8[], $2::int8[], $3::text[], $4::text[], \
                 $5::int8[]) u (pk, param, folded, exact, elem) WHERE x.pk = u.pk AND x.param = u.param \
                 AND x.folded = u.folded AND x.exact = u.exact AND x.elem = u.elem";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(foldeds).bind(exacts);
            query.bind(elements).execute(&mut *connection).await?;
        }
        let Places(pks, params, latitudes, longitudes) = &self.places;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_place x USING unnest($1::int8[], $2::int8[], $3::float8[], $4::float8[]) \
                 u (pk, param, latitude, longitude) WHERE x.pk = u.pk AND x.param = u.param \
                 AND x.latitude = u.latitude AND x.longitude = u.longitude";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(latitudes);
            query.bind(longitudes).execute(&mut *connection).await?;
        }
        let OwnerDates(pks, params, owners, long, highs, ..) = &self.owner_dates;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_owner_date x USING unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], \
                 $5::int8[]) u (pk, param, owner, long, hi) WHERE x.param = u.param::int4 AND x.owner = u.owner::int4 \
                 AND x.long = u.long::int2 AND x.hi = u.hi AND x.pk = u.pk";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(owners).bind(long);
            query.bind(highs).execute(&mut *connection).await?;
        }
        let OwnerKeys(pks, params, values, owners, _) = &self.owner_keys;
        if !pks.is_empty() {
            let sql = "DELETE FROM ix_owner_exact x USING unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) \
                 u (pk, param, val, owner) WHERE x.param = u.param::int4 AND x.val = u.val::int4 \
                 AND x.owner = u.owner::int4 AND x.pk = u.pk";
            let query = sqlx::query(sql).bind(pks).bind(params).bind(values).bind(owners);
            query.execute(connection).await?;
        }
        Ok(())
    }
}

/// The rows that resources have.
const READ: &str = "SELECT 0, pk, param, elem, val::int8, 0::int8, NULL::bytea, NULL::bytea, NULL::text, NULL::text, \
     0::float8, 0::float8 FROM ix_exact WHERE pk = ANY ($1) \
     UNION ALL SELECT 1, pk, param, elem, lo, hi, NULL, NULL, NULL, NULL, 0, 0 FROM ix_date WHERE pk = ANY ($1) \
     UNION ALL SELECT 2, pk, param, elem, system, code, lo, hi, NULL, NULL, 0, 0 FROM ix_number WHERE pk = ANY ($1) \
     UNION ALL SELECT 3, pk, param, elem, 0, 0, NULL, NULL, folded, exact, 0, 0 FROM ix_string WHERE pk = ANY ($1) \
     UNION ALL SELECT 4, pk, param, 0, 0, 0, NULL, NULL, NULL, NULL, latitude, longitude FROM ix_place WHERE pk = ANY ($1)";

/// Reads the rows of resources.
pub async fn read(connection: &mut PgConnection, pks: Vec<i64>) -> sqlx::Result<HashMap<i64, Rows>> {
    let mut found: HashMap<i64, Rows> = HashMap::new();
    if pks.is_empty() {
        return Ok(found);
    }
    for row in sqlx::query(READ).bind(pks).fetch_all(connection).await? {
        let rows = found.entry(row.try_get(1)?).or_default();
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
    }
    Ok(found)
}
