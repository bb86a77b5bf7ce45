//! What a batch does to the tables: columns of one statement, which also moves the clock on.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlSafeStr as _, SqlStr};

use super::rows::{Columns, Exact, Numbers, Places, Strings};
use super::value;
use crate::bodies;
use crate::commit::Prepared;

/// New resources and rows, whose numbers and times begin at `c`.
const NEW: &str = "r AS (INSERT INTO res (pk, type, id, ver, upd, kind, dict, body) \
     SELECT c.pk + u.pk, u.type, u.id, u.ver, c.upd + u.upd, u.kind, u.dict, u.body \
     FROM c, unnest(?::int8[], ?::int8[], ?::text[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::bytea[]) \
     u (pk, type, id, ver, upd, kind, dict, body)), \
     e AS (INSERT INTO ix_exact (pk, param, val, elem) SELECT c.pk + u.pk, u.param, u.val, nullif(u.elem, 0) \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, elem)), \
     d AS (INSERT INTO ix_date (pk, param, long, lo, hi, elem) SELECT c.pk + u.pk, u.param, u.long, u.lo, u.hi, nullif(u.elem, 0) \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, long, lo, hi, elem)), \
     n AS (INSERT INTO ix_number (pk, param, lo, hi, system, code, elem) \
     SELECT c.pk + u.pk, u.param, u.lo, u.hi, u.system, u.code, nullif(u.elem, 0) \
     FROM c, unnest(?::int8[], ?::int8[], ?::bytea[], ?::bytea[], ?::int8[], ?::int8[], ?::int8[]) \
     u (pk, param, lo, hi, system, code, elem)), \
     s AS (INSERT INTO ix_string (pk, param, folded, exact, elem) SELECT c.pk + u.pk, u.param, u.folded, u.exact, nullif(u.elem, 0) \
     FROM c, unnest(?::int8[], ?::int8[], ?::text[], ?::text[], ?::int8[]) u (pk, param, folded, exact, elem)), \
     l AS (INSERT INTO ix_place (pk, param, latitude, longitude) SELECT c.pk + u.pk, u.param, u.latitude, u.longitude \
     FROM c, unnest(?::int8[], ?::int8[], ?::float8[], ?::float8[]) u (pk, param, latitude, longitude)), \
     od AS (INSERT INTO ix_owner_date (pk, param, owner, long, hi, lo, via) \
     SELECT c.pk + u.pk, u.param, u.owner, u.long, u.hi, u.lo, u.via \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) \
     u (pk, param, owner, long, hi, lo, via)), \
     oe AS (INSERT INTO ix_owner_exact (pk, param, val, owner, via) SELECT c.pk + u.pk, u.param, u.val, u.owner, u.via \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, owner, via))";
/// Versions that are superseded and what takes their place, and the rows that go. Rows are found first, each by its index,
/// and then removed where they lie, so that no plan can turn that round.
const CHANGED: &str = ", h AS (INSERT INTO hist (pk, ver, type, upd, kind, dict, body) \
     SELECT u.pk, u.ver, u.type, u.upd, u.kind, u.dict, u.body \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::bytea[]) \
     u (pk, ver, type, upd, kind, dict, body)), \
     w AS (UPDATE res r SET ver = u.ver, upd = u.upd, kind = u.kind, dict = u.dict, body = u.body \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::bytea[]) \
     u (pk, ver, upd, kind, dict, body) WHERE r.pk = u.pk), \
     xe AS (DELETE FROM ix_exact WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, elem) \
     JOIN LATERAL (SELECT x.ctid FROM ix_exact x WHERE x.param = u.param AND x.val = u.val AND x.pk = u.pk \
     AND coalesce(x.elem, 0) = u.elem OFFSET 0) y ON TRUE))), \
     xd AS (DELETE FROM ix_date WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, lo, hi, elem) \
     JOIN LATERAL (SELECT x.ctid FROM ix_date x WHERE x.pk = u.pk AND x.param + 0 = u.param AND x.lo = u.lo \
     AND x.hi = u.hi AND coalesce(x.elem, 0) = u.elem OFFSET 0) y ON TRUE))), \
     xn AS (DELETE FROM ix_number WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::bytea[], ?::bytea[], ?::int8[], ?::int8[], ?::int8[]) \
     u (pk, param, lo, hi, system, code, elem) \
     JOIN LATERAL (SELECT x.ctid FROM ix_number x WHERE x.pk = u.pk AND x.param + 0 = u.param AND x.lo = u.lo \
     AND x.hi = u.hi AND x.system = u.system AND x.code = u.code AND coalesce(x.elem, 0) = u.elem OFFSET 0) y ON TRUE))), \
     xs AS (DELETE FROM ix_string WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::text[], ?::text[], ?::int8[]) u (pk, param, folded, exact, elem) \
     JOIN LATERAL (SELECT x.ctid FROM ix_string x WHERE x.pk = u.pk AND x.param + 0 = u.param AND x.folded = u.folded \
     AND x.exact = u.exact AND coalesce(x.elem, 0) = u.elem OFFSET 0) y ON TRUE))), \
     xl AS (DELETE FROM ix_place WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::float8[], ?::float8[]) u (pk, param, latitude, longitude) \
     JOIN LATERAL (SELECT x.ctid FROM ix_place x WHERE x.pk = u.pk AND x.param + 0 = u.param \
     AND x.latitude = u.latitude AND x.longitude = u.longitude OFFSET 0) y ON TRUE))), \
     xod AS (DELETE FROM ix_owner_date WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, owner, long, hi) \
     JOIN LATERAL (SELECT x.ctid FROM ix_owner_date x WHERE x.param = u.param AND x.owner = u.owner \
     AND x.long = u.long AND x.hi = u.hi AND x.pk = u.pk OFFSET 0) y ON TRUE))), \
     xoe AS (DELETE FROM ix_owner_exact WHERE ctid = ANY (ARRAY(SELECT y.ctid \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, owner) \
     JOIN LATERAL (SELECT x.ctid FROM ix_owner_exact x WHERE x.param = u.param AND x.val = u.val \
     AND x.owner = u.owner AND x.pk = u.pk OFFSET 0) y ON TRUE)))";
/// Takes the clock and moves it on by as many versions as there are.
const TAKE: &str = "WITH c AS (UPDATE service SET clock = greatest(clock + 1, \
     (extract(epoch FROM clock_timestamp()) * 1000000)::int8) + $1 - 1, next_pk = next_pk + $2 \
     WHERE generation = $3 RETURNING next_pk - $2 AS pk, clock - $1 + 1 AS upd), ";
/// Numbers and times are given: what they were decided on has to be the newest still.
const SET: &str = "WITH c AS (UPDATE service SET clock = $1, next_pk = $2 WHERE clock = $3 AND generation = $4 \
     RETURNING 0::int8 AS pk, 0::int8 AS upd), ";

/// Constants, which are prepared once.
static CREATE: LazyLock<SqlStr> = LazyLock::new(|| {
    let rows = value::numbered(NEW, 4);
    AssertSqlSafe(format!("{TAKE}{rows} SELECT c.pk, c.upd FROM c")).into_sql_str()
});
static ADD: LazyLock<SqlStr> = LazyLock::new(|| {
    let rows = value::numbered(NEW, 5);
    AssertSqlSafe(format!("{SET}{rows} SELECT c.pk, c.upd FROM c")).into_sql_str()
});
static WRITE: LazyLock<SqlStr> = LazyLock::new(|| {
    let rows = value::numbered(&format!("{NEW}{CHANGED}"), 5);
    AssertSqlSafe(format!("{SET}{rows} SELECT c.pk, c.upd FROM c")).into_sql_str()
});

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// A state of the service that decisions are made on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time of the newest version.
    pub clock: i64,
    /// The number of the next new resource.
    pub next_pk: i64,
    /// Of the search parameters.
    pub generation: u64,
}

/// Versions of resources, as columns.
#[derive(Debug, Default)]
pub struct Versions {
    pub pks: Vec<i64>,
    types: Vec<i64>,
    ids: Vec<String>,
    numbers: Vec<i64>,
    times: Vec<i64>,
    kinds: Vec<i64>,
    dictionaries: Vec<i64>,
    bodies: Vec<Option<Vec<u8>>>,
}

/// A version, as a row has it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub version: u32,
    pub updated: i64,
    pub kind: i64,
    pub dictionary: i64,
    pub body: Option<Vec<u8>>,
}

impl Versions {
    /// Adds a version of a resource.
    pub fn add(&mut self, pk: i64, of: i64, id: &str, stored: Stored) {
        self.pks.push(pk);
        self.types.push(of);
        self.ids.push(id.to_owned());
        self.numbers.push(stored.version.into());
        self.times.push(stored.updated);
        self.kinds.push(stored.kind);
        self.dictionaries.push(stored.dictionary);
        self.bodies.push(stored.body);
    }
}

/// What changes, as columns.
#[derive(Debug, Default)]
pub struct Delta {
    /// Resources that are new.
    pub new: Versions,
    /// Resources that are there and have a new version.
    pub changed: Versions,
    /// Versions that go into the history.
    pub superseded: Versions,
    /// Index rows that are new.
    pub rows: Columns,
    /// Index rows that go.
    pub gone: Columns,
}

impl Delta {
    /// Adds a new resource without its rows; its number and time are behind those that the clock gives.
    pub fn create(&mut self, at: i64, of: i64, resource: &Prepared) {
        let stored = Stored {
            version: 1,
            updated: at,
            kind: 0,
            dictionary: bodies::SHARED_ID,
            body: Some(resource.packed.clone()),
        };
        self.new.add(at, of, &resource.id, stored);
    }

    /// Takes the clock and writes what is new; gives the first number and the first time. `None`: nothing was written, the
    /// generation is another one.
    pub async fn take(self, connection: &mut PgConnection, generation: u64) -> sqlx::Result<Option<(i64, i64)>> {
        let count = i64::try_from(self.new.pks.len()).unwrap_or(i64::MAX);
        let query = sqlx::query(CREATE.clone()).bind(count).bind(count);
        let query = bind_new(query.bind(generation.cast_signed()), self.new);
        let row = bind_rows(query, self.rows).fetch_optional(connection).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// Writes everything and sets the clock, if it and the generation are still what was decided on; whether they are.
    pub async fn set(self, connection: &mut PgConnection, on: Moment, then: Moment) -> sqlx::Result<bool> {
        // each part of a statement is begun and ended, whether it has rows or not
        let is_new = self.changed.pks.is_empty() && self.superseded.pks.is_empty() && self.gone.is_empty();
        let statement = if is_new { &ADD } else { &WRITE };
        let query = sqlx::query((*statement).clone()).bind(then.clock).bind(then.next_pk);
        let query = query.bind(on.clock).bind(on.generation.cast_signed());
        let query = bind_rows(bind_new(query, self.new), self.rows);
        if is_new {
            return Ok(query.fetch_optional(connection).await?.is_some());
        }
        let (old, now) = (self.superseded, self.changed);
        let query = query.bind(old.pks).bind(old.numbers).bind(old.types).bind(old.times);
        let query = query.bind(old.kinds).bind(old.dictionaries).bind(old.bodies);
        let query = query.bind(now.pks).bind(now.numbers).bind(now.times);
        let query = query.bind(now.kinds).bind(now.dictionaries).bind(now.bodies);
        let row = bind_gone(query, self.gone).fetch_optional(connection).await?;
        Ok(row.is_some())
    }
}

fn bind_new(query: Query, new: Versions) -> Query {
    let query = query.bind(new.pks).bind(new.types).bind(new.ids).bind(new.numbers);
    query
        .bind(new.times)
        .bind(new.kinds)
        .bind(new.dictionaries)
        .bind(new.bodies)
}

fn bind_rows(query: Query, rows: Columns) -> Query {
    let Columns {
        exact,
        dates,
        numbers,
        strings,
        places,
        owner_dates,
        owner_keys,
    } = rows;
    let query = bind_exact(query, exact).bind(dates.0).bind(dates.1).bind(dates.2);
    let query = query.bind(dates.3).bind(dates.4).bind(dates.5);
    let query = bind_others(query, numbers, strings, places);
    let query = query.bind(owner_dates.0).bind(owner_dates.1).bind(owner_dates.2);
    let query = query.bind(owner_dates.3).bind(owner_dates.4).bind(owner_dates.5);
    let query = query.bind(owner_dates.6);
    let query = query.bind(owner_keys.0).bind(owner_keys.1).bind(owner_keys.2);
    query.bind(owner_keys.3).bind(owner_keys.4)
}

/// Rows that go are found without what the rest of a row says: whether a date is long, the begin of an owner's date, via.
fn bind_gone(query: Query, rows: Columns) -> Query {
    let Columns {
        exact,
        dates,
        numbers,
        strings,
        places,
        owner_dates,
        owner_keys,
    } = rows;
    let query = bind_exact(query, exact).bind(dates.0).bind(dates.1);
    let query = query.bind(dates.3).bind(dates.4).bind(dates.5);
    let query = bind_others(query, numbers, strings, places);
    let query = query.bind(owner_dates.0).bind(owner_dates.1).bind(owner_dates.2);
    let query = query.bind(owner_dates.3).bind(owner_dates.4);
    let query = query.bind(owner_keys.0).bind(owner_keys.1);
    query.bind(owner_keys.2).bind(owner_keys.3)
}

fn bind_exact(query: Query, exact: Exact) -> Query {
    query.bind(exact.0).bind(exact.1).bind(exact.2).bind(exact.3)
}

fn bind_others(query: Query, numbers: Numbers, strings: Strings, places: Places) -> Query {
    let query = query.bind(numbers.0).bind(numbers.1).bind(numbers.2).bind(numbers.3);
    let query = query.bind(numbers.4).bind(numbers.5).bind(numbers.6);
    let query = query.bind(strings.0).bind(strings.1).bind(strings.2);
    let query = query.bind(strings.3).bind(strings.4);
    query.bind(places.0).bind(places.1).bind(places.2).bind(places.3)
}
