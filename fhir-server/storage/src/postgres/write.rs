//! The writer of a replica: takes the sets that wait, writes them in one transaction, and answers once it is committed.
//!
//! Creates are one statement, which is its own transaction. Everything else begins by taking the clock, the one row that
//! every writer of every replica takes: whoever has it decides alone, on everything that was committed before, so that
//! preconditions and if-none-exist hold over replicas and no version can appear before an older one.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlSafeStr as _, SqlStr};
use tokio::sync::{mpsc, oneshot};

use super::connections::Address;
use super::error::is_taken;
use super::rows::{self, Columns};
use super::texts::{self, Numbers, Texts};
use super::transaction::{Failed, Transaction};
use super::value;
use crate::catalogue::Catalogue;
use crate::commit::{Change, Outcome, Prepared, WriteSet, Written};
use crate::error::CommitError;
use crate::rows::Rows;

/// Sets that share a commit at most: bounds the time that the first of them waits, and that the clock is held.
const BATCH: usize = 256;

/// The columns of new resources, and of rows, whose numbers and times begin at `c`.
const NEW: &str = "r AS (INSERT INTO res (pk, type, id, ver, upd, kind, dict, body) \
     SELECT c.pk + u.pk, u.type, u.id, 1, c.upd + u.upd, 0, 1, u.body \
     FROM c, unnest(?::int8[], ?::int8[], ?::text[], ?::int8[], ?::bytea[]) u (pk, type, id, upd, body)), \
     e AS (INSERT INTO ix_exact (pk, param, val, elem) SELECT c.pk + u.pk, u.param, u.val, u.elem \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, elem)), \
     d AS (INSERT INTO ix_date (pk, param, long, lo, hi, elem) SELECT c.pk + u.pk, u.param, u.long, u.lo, u.hi, u.elem \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, long, lo, hi, elem)), \
     n AS (INSERT INTO ix_number (pk, param, lo, hi, system, code, elem) \
     SELECT c.pk + u.pk, u.param, u.lo, u.hi, u.system, u.code, u.elem \
     FROM c, unnest(?::int8[], ?::int8[], ?::bytea[], ?::bytea[], ?::int8[], ?::int8[], ?::int8[]) \
     u (pk, param, lo, hi, system, code, elem)), \
     s AS (INSERT INTO ix_string (pk, param, folded, exact, elem) SELECT c.pk + u.pk, u.param, u.folded, u.exact, u.elem \
     FROM c, unnest(?::int8[], ?::int8[], ?::text[], ?::text[], ?::int8[]) u (pk, param, folded, exact, elem)), \
     l AS (INSERT INTO ix_place (pk, param, latitude, longitude) SELECT c.pk + u.pk, u.param, u.latitude, u.longitude \
     FROM c, unnest(?::int8[], ?::int8[], ?::float8[], ?::float8[]) u (pk, param, latitude, longitude)), \
     od AS (INSERT INTO ix_owner_date (pk, param, owner, long, hi, lo, via) \
     SELECT c.pk + u.pk, u.param, u.owner, u.long, u.hi, u.lo, u.via \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) \
     u (pk, param, owner, long, hi, lo, via)), \
     oe AS (INSERT INTO ix_owner_exact (pk, param, val, owner, via) SELECT c.pk + u.pk, u.param, u.val, u.owner, u.via \
     FROM c, unnest(?::int8[], ?::int8[], ?::int8[], ?::int8[], ?::int8[]) u (pk, param, val, owner, via)) \
     SELECT c.pk, c.upd FROM c";
/// Takes the clock and moves it on by as many versions as there are.
const TAKE: &str = "WITH c AS (UPDATE service SET clock = greatest(clock + 1, \
     (extract(epoch FROM clock_timestamp()) * 1000000)::int8) + $1 - 1, next_pk = next_pk + $2 \
     WHERE generation = $3 RETURNING next_pk - $2 AS pk, clock - $1 + 1 AS upd), ";
/// The clock is taken already: numbers and times are given.
const SET: &str = "WITH c AS (UPDATE service SET clock = $1, next_pk = $2 WHERE $3::int8 IS NULL RETURNING 0::int8 AS pk, 0::int8 AS upd), ";

/// What a set did.
pub type Answer = Result<Vec<Outcome>, CommitError>;

/// A set and who waits for it.
#[derive(Debug)]
pub struct Waiting {
    pub set: WriteSet,
    pub reply: oneshot::Sender<Answer>,
}

/// New resources and rows, as columns.
#[derive(Debug, Default)]
pub struct New {
    pks: Vec<i64>,
    types: Vec<i64>,
    ids: Vec<String>,
    times: Vec<i64>,
    bodies: Vec<Vec<u8>>,
    pub rows: Columns,
}

impl New {
    /// Adds a resource without its rows.
    pub fn add(&mut self, pk: i64, of: i64, time: i64, resource: &Prepared) {
        self.pks.push(pk);
        self.types.push(of);
        self.ids.push(resource.id.clone());
        self.times.push(time);
        self.bodies.push(resource.packed.clone());
    }

    /// Writes them after the clock was taken, and sets it.
    pub async fn set(&self, connection: &mut PgConnection, clock: i64, next_pk: i64) -> sqlx::Result<()> {
        let written = self.write(connection, &SETTING, (clock, next_pk, None)).await?;
        written.map(|_| ()).ok_or(sqlx::Error::RowNotFound)
    }

    /// Takes the clock and writes them; gives the first number and the first time. `None`: nothing was written, the
    /// generation is another one.
    async fn take(&self, connection: &mut PgConnection, generation: u64) -> sqlx::Result<Option<(i64, i64)>> {
        let count = i64::try_from(self.pks.len()).unwrap_or(i64::MAX);
        let generation = Some(generation.cast_signed());
        self.write(connection, &TAKING, (count, count, generation)).await
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        statement: &SqlStr,
        (one, two, generation): (i64, i64, Option<i64>),
    ) -> sqlx::Result<Option<(i64, i64)>> {
        let Columns {
            exact,
            dates,
            numbers,
            strings,
            places,
            owner_dates,
            owner_keys,
        } = &self.rows;
        let query = sqlx::query(statement.clone()).bind(one).bind(two).bind(generation);
        let query = query.bind(&self.pks).bind(&self.types).bind(&self.ids);
        let query = query.bind(&self.times).bind(&self.bodies);
        let query = query.bind(&exact.0).bind(&exact.1).bind(&exact.2).bind(&exact.3);
        let query = query.bind(&dates.0).bind(&dates.1).bind(&dates.2);
        let query = query.bind(&dates.3).bind(&dates.4).bind(&dates.5);
        let query = query
            .bind(&numbers.0)
            .bind(&numbers.1)
            .bind(&numbers.2)
            .bind(&numbers.3);
        let query = query.bind(&numbers.4).bind(&numbers.5).bind(&numbers.6);
        let query = query.bind(&strings.0).bind(&strings.1).bind(&strings.2);
        let query = query.bind(&strings.3).bind(&strings.4);
        let query = query.bind(&places.0).bind(&places.1).bind(&places.2).bind(&places.3);
        let query = query.bind(&owner_dates.0).bind(&owner_dates.1).bind(&owner_dates.2);
        let query = query.bind(&owner_dates.3).bind(&owner_dates.4).bind(&owner_dates.5);
        let query = query.bind(&owner_dates.6);
        let query = query.bind(&owner_keys.0).bind(&owner_keys.1).bind(&owner_keys.2);
        let query = query.bind(&owner_keys.3).bind(&owner_keys.4);
        let row = query.fetch_optional(connection).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}

/// A way to the clock and [`NEW`]: constants, which are prepared once.
fn statement(clock: &str) -> SqlStr {
    let mut text = clock.to_owned();
    text.push_str(&value::numbered(NEW, 4));
    AssertSqlSafe(text).into_sql_str()
}

static TAKING: LazyLock<SqlStr> = LazyLock::new(|| statement(TAKE));
static SETTING: LazyLock<SqlStr> = LazyLock::new(|| statement(SET));

/// The writer of a replica.
#[derive(Debug)]
pub struct Writer {
    address: Address,
    connection: Option<PgConnection>,
    catalogue: Arc<Catalogue>,
    texts: Texts,
}

impl Writer {
    pub fn new(address: Address, connection: PgConnection, catalogue: Arc<Catalogue>) -> Self {
        Self {
            address,
            connection: Some(connection),
            catalogue,
            texts: Texts::default(),
        }
    }

    /// Until nobody can send any more.
    pub async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut jobs = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut jobs, BATCH).await > 0 {
            let (replies, sets): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.reply, job.set)).unzip();
            let answers = self.commit(&sets).await;
            for ((reply, set), answer) in replies.into_iter().zip(sets).zip(answers) {
                let answer = match answer {
                    Err(CommitError::Outdated(_)) => Err(CommitError::Outdated(Box::new(set))),
                    answer => answer,
                };
                // whoever doesn't wait any more doesn't need the answer
                let _ = reply.send(answer);
            }
        }
    }

    /// An answer for each set.
    async fn commit(&mut self, sets: &[WriteSet]) -> Vec<Answer> {
        match self.batch(sets).await {
            Ok(answers) => answers,
            Err(failed) if !failed.is_lost() && sets.len() > 1 => {
                // one of them broke it: nobody else may notice
                let mut answers = Vec::with_capacity(sets.len());
                for set in sets {
                    let answer = self.batch(std::slice::from_ref(set)).await;
                    answers.push(match answer {
                        Ok(mut answers) => answers.pop().unwrap_or(Err(CommitError::Closed)),
                        Err(failed) => Err(failed.into()),
                    });
                }
                answers
            }
            Err(failed) => {
                let error = CommitError::from(failed);
                tracing::error!(%error, "a batch couldn't be committed");
                let same = || match &error {
                    CommitError::Lost(text) => CommitError::Lost(text.clone()),
                    CommitError::TooMuch => CommitError::TooMuch,
                    error => CommitError::Storage(error.to_string()),
                };
                sets.iter().map(|_| Err(same())).collect()
            }
        }
    }

    async fn batch(&mut self, sets: &[WriteSet]) -> Result<Vec<Answer>, Failed> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // a server that crashed may have lost texts that nothing durable used yet
                self.texts.forget();
                self.address.connect().await?
            }
        };
        let answers = self.write(&mut connection, sets).await;
        match &answers {
            Ok(_) => self.connection = Some(connection),
            Err(failed) if failed.is_lost() => {}
            Err(_) => {
                // nothing to roll back where it was a statement of its own
                if sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.is_ok() {
                    self.connection = Some(connection);
                }
            }
        }
        answers
    }

    async fn write(&self, connection: &mut PgConnection, sets: &[WriteSet]) -> Result<Vec<Answer>, Failed> {
        let mut wanted = BTreeSet::new();
        for resource in sets.iter().flat_map(|set| &set.changes).filter_map(Change::resource) {
            texts::of_keys(&resource.keys, &mut wanted);
        }
        let numbers = self.texts.number(connection, &wanted).await?;
        if let Some(creates) = self.only_creates(sets) {
            match self.create(connection, sets, &creates, &numbers).await {
                // an id that is there already, or another generation: find out which
                Ok(None) => {}
                Err(error) if is_taken(&error) => {}
                Ok(Some(done)) => return Ok(done),
                Err(error) => return Err(error.into()),
            }
        }
        Transaction::begin(connection, &self.catalogue, &self.texts, &numbers, sets)
            .await?
            .run(sets)
            .await
    }

    /// The resources and their types, where there is nothing but new ones.
    fn only_creates<'a>(&self, sets: &'a [WriteSet]) -> Option<Vec<(i64, &'a Prepared)>> {
        let mut names = HashSet::new();
        let mut creates = Vec::new();
        for set in sets {
            if set.guard.is_some() || set.definitions.is_some() || !set.jobs.is_empty() {
                return None;
            }
            for change in &set.changes {
                let Change::Create { resource } = change else {
                    return None;
                };
                let of = self.catalogue.type_number(&resource.resource_type)?;
                if !names.insert((of, resource.id.as_str())) {
                    return None;
                }
                creates.push((of, resource));
            }
        }
        Some(creates)
    }

    async fn create(
        &self,
        connection: &mut PgConnection,
        sets: &[WriteSet],
        creates: &[(i64, &Prepared)],
        numbers: &Numbers,
    ) -> sqlx::Result<Option<Vec<Answer>>> {
        let Some((_, first)) = creates.first() else {
            return Ok(Some(sets.iter().map(|_| Ok(Vec::new())).collect()));
        };
        let generation = first.keys.generation;
        if creates
            .iter()
            .any(|(_, resource)| resource.keys.generation != generation)
        {
            return Ok(None);
        }
        let mut new = New::default();
        for (at, (of, resource)) in (0..).zip(creates) {
            new.add(at, *of, at, resource);
            let rows = rows_of(&self.catalogue, resource, numbers);
            new.rows.add(at, &rows, &Rows::default());
        }
        let Some((_, first)) = new.take(connection, generation).await? else {
            return Ok(None);
        };
        let mut times = first..;
        let written = |time| {
            Outcome::Created(Written {
                version: 1,
                last_updated: time,
            })
        };
        let answer = |set: &WriteSet| Ok(times.by_ref().take(set.changes.len()).map(written).collect());
        Ok(Some(sets.iter().map(answer).collect()))
    }
}

/// Every text has a number by now; 0, which none has, stands for one that hasn't.
pub fn rows_of(catalogue: &Catalogue, resource: &Prepared, numbers: &Numbers) -> Rows {
    let of = catalogue.type_number(&resource.resource_type).unwrap_or_default();
    rows::of(catalogue, of, &resource.keys, |text| {
        numbers.get(text).unwrap_or_default()
    })
}
