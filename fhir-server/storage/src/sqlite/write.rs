//! The writer thread: takes the sets that wait, applies each in a savepoint of its own, commits them together, and
//! answers only then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fhir_resource::stored;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::rows::Values;
use super::{counted, definitions, jobs, search};
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::commit::{Change, Expected, Guard, Kept, Last, Outcome, Prepared, WriteSet, Written};
use crate::error::CommitError;
use crate::index::Filling;
use crate::job::{self, JobChange};
use crate::rows::Rows;
use crate::version::{Kind, NOT_KEPT};

/// Sets that share a commit at most: bounds the time that the first of them waits.
const BATCH: usize = 256;
/// Pages in the log from which on it is folded into the file and then written from its start again: an appended log costs
/// new blocks at every commit, one that is written over doesn't.
const LONG_LOG: u32 = 4_096;
/// Pages from which on readers have to wait for that: so many of them overlap that the log wouldn't start again.
const TOO_LONG_LOG: u32 = 8 * LONG_LOG;

/// What waits, also if it comes as soon as others have had their turn: what shares a commit shares its pages.
fn more(waiting: &mut mpsc::Receiver<Job>) -> Option<Job> {
    waiting.try_recv().ok().or_else(|| {
        std::thread::yield_now();
        waiting.try_recv().ok()
    })
}

/// What a set did.
pub type Answer = Result<Vec<Outcome>, CommitError>;

/// What waits for the writer.
#[derive(Debug)]
pub enum Job {
    /// Shares a commit with others.
    Set(Set),
    /// Has a transaction of its own.
    Work(Work),
}

/// A set and who waits for it.
#[derive(Debug)]
pub struct Set {
    pub set: WriteSet,
    pub reply: oneshot::Sender<Answer>,
}

/// Background work; it answers by itself.
pub struct Work(Box<dyn FnOnce(&mut Writer) + Send>);

impl Work {
    pub fn new(work: impl FnOnce(&mut Writer) + Send + 'static) -> Self {
        Self(Box::new(work))
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Work")
    }
}

impl Current {
    fn state(&self) -> Last {
        Last {
            version: self.version,
            is_live: self.body.is_some(),
        }
    }
}

/// The only writer of a database.
#[derive(Debug)]
pub struct Writer {
    pub(super) connection: Connection,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    next_pk: i64,
    /// Of the search parameters.
    pub(super) generation: u64,
    values: Values,
    /// Pages in the log after the last commit.
    log: Arc<AtomicU32>,
}

/// The row of a logical id.
struct Current {
    pk: i64,
    version: u32,
    updated: i64,
    dictionary: i64,
    body: Option<Vec<u8>>,
}

impl Writer {
    pub fn new(
        mut connection: Connection,
        catalogue: Arc<Catalogue>,
        clock: Clock,
        next_pk: i64,
        generation: u64,
    ) -> rusqlite::Result<Self> {
        let log = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&log);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            catalogue,
            clock,
            next_pk,
            generation,
            values: Values::default(),
            log,
        })
    }

    /// Until nobody can send any more.
    pub fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut folded = 0;
        while let Some(first) = waiting.blocking_recv() {
            let (mut sets, mut next) = (Vec::new(), Some(first));
            let work = loop {
                match next {
                    Some(Job::Set(set)) => sets.push(set),
                    Some(Job::Work(work)) => break Some(work),
                    None => break None,
                }
                next = if sets.len() < BATCH { more(&mut waiting) } else { None };
            };
            if !sets.is_empty() {
                self.commit(sets);
            }
            if let Some(Work(work)) = work {
                work(&mut self);
            }
            let log = self.log.load(Ordering::Relaxed);
            if log < folded {
                folded = 0; // it has started again
            }
            if log >= folded + LONG_LOG {
                self.checkpoint(if log < TOO_LONG_LOG { "PASSIVE" } else { "RESTART" });
                folded = log;
            }
        }
        self.checkpoint("TRUNCATE");
    }

    fn checkpoint(&self, mode: &str) {
        let done = self
            .connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
        if let Err(error) = done {
            tracing::warn!(%error, "the log couldn't be folded into the database; trying again later");
        }
    }

    /// Does background work in a transaction of its own.
    pub fn alone<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, CommitError>) -> Result<T, CommitError> {
        let done = self.statement("BEGIN IMMEDIATE").map_err(CommitError::from);
        let done = done.and_then(|()| work(self));
        let done = done.and_then(|done| self.statement("COMMIT").map(|()| done).map_err(CommitError::from));
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    fn roll_back(&mut self) {
        self.values.forget();
        // nothing to roll back where BEGIN failed
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    /// Changes a job.
    pub fn change_job(&mut self, change: &JobChange) -> Result<Option<job::Job>, CommitError> {
        Ok(jobs::change(&self.connection, change, Clock::now())?)
    }

    /// Writes what `keys` say of the stored definitions with these numbers; none: of all parameters.
    pub(super) fn fill_one(&mut self, filling: &Filling, definitions: &[u32]) -> Result<(), CommitError> {
        let current = "SELECT ver, type FROM res WHERE pk = ?1 AND body IS NOT NULL";
        let mut select = self.connection.prepare_cached(current)?;
        let current = select.query_row([filling.pk], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)));
        let current = current.optional()?;
        drop(select);
        let Some((_, of)) = current.filter(|(version, _)| *version == filling.version) else {
            return Ok(());
        };
        let mut before = Rows::read(&self.connection, &self.catalogue, of, filling.pk)?;
        let (values, connection) = (&mut self.values, &self.connection);
        let mut rows = Rows::of(&self.catalogue, of, &filling.keys, &mut |text| {
            values.number(connection, text)
        })?;
        if !definitions.is_empty() {
            before.keep(definitions, true);
            rows.keep(definitions, true);
        }
        Ok(rows.replace(&self.connection, filling.pk, &before)?)
    }

    fn commit(&mut self, sets: Vec<Set>) {
        let generation = self.generation;
        let (replies, sets): (Vec<_>, Vec<_>) = sets.into_iter().map(|set| (set.reply, set.set)).unzip();
        let answers = self.batch(sets).unwrap_or_else(|error| {
            tracing::error!(%error, "a batch couldn't be committed");
            self.generation = generation;
            self.roll_back();
            let lost = || Err(CommitError::Storage(error.to_string()));
            replies.iter().map(|_| lost()).collect()
        });
        for (reply, answer) in replies.into_iter().zip(answers) {
            // whoever doesn't wait any more doesn't need the answer
            let _ = reply.send(answer);
        }
    }

    /// An answer for each set, or an error where all of them are lost.
    fn batch(&mut self, sets: Vec<WriteSet>) -> Result<Vec<Answer>, CommitError> {
        self.statement("BEGIN IMMEDIATE")?;
        let answers = sets.into_iter().map(|set| self.set(set)).collect::<Result<_, _>>()?;
        let clock = (self.clock.last(), self.next_pk);
        self.connection
            .prepare_cached("UPDATE service SET clock = ?1, next_pk = ?2")?
            .execute(clock)?;
        self.statement("COMMIT")?;
        counted::rows(&self.connection);
        Ok(answers)
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// A set. `Err` outside: the whole batch is lost.
    fn set(&mut self, set: WriteSet) -> Result<Answer, CommitError> {
        if set.is_outdated(self.generation) {
            return Ok(Err(CommitError::Outdated(Box::new(set))));
        }
        if set.changes.len() == 1 && set.definitions.is_none() && set.jobs.is_empty() {
            return match self.apply(set) {
                // a single change is refused before its first row: only a failing database leaves half of it
                Err(error @ CommitError::Storage(_)) => Err(error),
                answer => Ok(answer),
            };
        }
        // SQLite copies each page that a savepoint changes, so only those who need one have one
        self.statement("SAVEPOINT one")?;
        self.values.begin();
        let answer = self.apply(set);
        if answer.is_err() {
            self.statement("ROLLBACK TO one")?;
            self.values.roll_back();
        }
        self.statement("RELEASE one")?;
        self.values.keep();
        Ok(answer)
    }

    fn apply(&mut self, set: WriteSet) -> Answer {
        if let Some(Guard { plan }) = &set.guard {
            let mut found = search::page(&self.connection, &self.catalogue, plan, 2, None)?.entries;
            match found.len() {
                0 => {}
                1 => return Err(CommitError::Exists(Box::new(found.remove(0)))),
                _ => return Err(CommitError::NotSelective),
            }
        }
        let outcomes = set.changes.into_iter().map(|change| self.change(change));
        let outcomes = outcomes.collect::<Result<_, _>>()?;
        for job in &set.jobs {
            jobs::add(&self.connection, job, Clock::now())?;
        }
        // last: what is refused leaves the generation as it is
        if let Some(change) = &set.definitions {
            definitions::change(&self.connection, change)?;
            self.generation += 1;
        }
        Ok(outcomes)
    }

    fn change(&mut self, change: Change) -> Result<Outcome, CommitError> {
        match change {
            Change::Create { resource } => {
                if self.current(&resource.resource_type, &resource.id)?.is_some() {
                    let Prepared { resource_type, id, .. } = resource;
                    return Err(CommitError::IdTaken { resource_type, id });
                }
                self.insert(&resource)
            }
            Change::Update {
                resource,
                expected,
                may_create,
            } => self.update(&resource, expected, may_create),
            Change::Delete {
                resource_type,
                id,
                expected,
                hard: false,
                kept,
            } => self.delete(&resource_type, &id, expected, kept),
            Change::Delete {
                resource_type,
                id,
                expected,
                hard: true,
                ..
            } => self.purge(&resource_type, &id, expected),
            Change::PurgeHistory {
                resource_type,
                id,
                expected,
            } => self.purge_history(&resource_type, &id, expected),
        }
    }

    fn type_number(&self, name: &str) -> Result<i64, CommitError> {
        self.catalogue
            .type_number(name)
            .ok_or_else(|| CommitError::UnknownType(name.to_owned()))
    }

    fn current(&self, resource_type: &str, id: &str) -> Result<Option<Current>, CommitError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT pk, ver, upd, dict, body FROM res WHERE type = ?1 AND id = ?2")?;
        let found = select.query_row((self.type_number(resource_type)?, id), |row| {
            Ok(Current {
                pk: row.get(0)?,
                version: row.get(1)?,
                updated: row.get(2)?,
                dictionary: row.get(3)?,
                body: row.get(4)?,
            })
        });
        Ok(found.optional()?)
    }

    fn insert(&mut self, resource: &Prepared) -> Result<Outcome, CommitError> {
        let pk = self.next_pk;
        self.next_pk += 1;
        let written = Written {
            version: 1,
            last_updated: self.clock.tick(),
        };
        let sql = "INSERT INTO res (pk, type, id, ver, upd, kind, dict, body) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7)";
        self.connection.prepare_cached(sql)?.execute((
            pk,
            self.type_number(&resource.resource_type)?,
            &resource.id,
            written.last_updated,
            Kind::Created.number(),
            bodies::SHARED_ID,
            &resource.packed,
        ))?;
        self.index(pk, resource, &Rows::default())?;
        Ok(Outcome::Created(written))
    }

    /// The rows that a resource has.
    fn rows(&self, resource_type: &str, pk: i64) -> Result<Rows, CommitError> {
        let of = self.type_number(resource_type)?;
        Ok(Rows::read(&self.connection, &self.catalogue, of, pk)?)
    }

    fn index(&mut self, pk: i64, resource: &Prepared, before: &Rows) -> Result<(), CommitError> {
        let of = self.type_number(&resource.resource_type)?;
        let (values, connection) = (&mut self.values, &self.connection);
        let rows = Rows::of(&self.catalogue, of, &resource.keys, &mut |text| {
            values.number(connection, text)
        })?;
        Ok(rows.replace(&self.connection, pk, before)?)
    }

    fn update(&mut self, resource: &Prepared, expected: Expected, may_create: bool) -> Result<Outcome, CommitError> {
        let Prepared {
            resource_type,
            id,
            stored,
            packed,
            ..
        } = resource;
        let current = self.current(resource_type, id)?;
        expected.prove(current.as_ref().map(Current::state), resource_type, id)?;
        let Some(current) = current else {
            return if may_create {
                self.insert(resource)
            } else {
                Err(CommitError::not_found(resource_type, id))
            };
        };
        let mut kept = resource.kept;
        let kind = match &current.body {
            None if !may_create => return Err(CommitError::not_found(resource_type, id)),
            None => Kind::Created,
            Some(body) => {
                let old = bodies::unpack(body, current.dictionary, || format!("{resource_type}/{id}"))?;
                if stored::same(&old, stored) {
                    return Ok(Outcome::Unchanged(Written {
                        version: current.version,
                        last_updated: current.updated,
                    }));
                }
                if kept == Kept::UnlessOnlyMeta {
                    let only_meta = stored::same_but_meta(&old, stored);
                    kept = if only_meta { Kept::Never } else { Kept::Always };
                }
                Kind::Updated
            }
        };
        let before = if kind == Kind::Updated {
            self.rows(resource_type, current.pk)?
        } else {
            Rows::default()
        };
        let written = self.supersede(&current, kind, kept, bodies::SHARED_ID, Some(packed))?;
        self.index(current.pk, resource, &before)?;
        Ok(if kind == Kind::Created {
            Outcome::Created(written)
        } else {
            Outcome::Updated(written)
        })
    }

    fn delete(
        &mut self,
        resource_type: &str,
        id: &str,
        expected: Expected,
        kept: Kept,
    ) -> Result<Outcome, CommitError> {
        let current = self.current(resource_type, id)?;
        let Some(current) = current.filter(|current| current.body.is_some()) else {
            return Ok(Outcome::AlreadyDeleted);
        };
        expected.prove(Some(current.state()), resource_type, id)?;
        let before = self.rows(resource_type, current.pk)?;
        let written = self.supersede(&current, Kind::Deleted, kept, 0, None)?;
        Rows::default().replace(&self.connection, current.pk, &before)?;
        Ok(Outcome::Deleted(written))
    }

    fn purge(&mut self, resource_type: &str, id: &str, expected: Expected) -> Result<Outcome, CommitError> {
        let Some(current) = self.current(resource_type, id)? else {
            return Ok(Outcome::AlreadyDeleted);
        };
        expected.prove(Some(current.state()), resource_type, id)?;
        let before = self.rows(resource_type, current.pk)?;
        Rows::default().replace(&self.connection, current.pk, &before)?;
        for sql in ["DELETE FROM hist WHERE pk = ?1", "DELETE FROM res WHERE pk = ?1"] {
            self.connection.prepare_cached(sql)?.execute([current.pk])?;
        }
        Ok(Outcome::Purged)
    }

    fn purge_history(&mut self, resource_type: &str, id: &str, expected: Expected) -> Result<Outcome, CommitError> {
        let Some(current) = self.current(resource_type, id)? else {
            return Ok(Outcome::AlreadyDeleted);
        };
        expected.prove(Some(current.state()), resource_type, id)?;
        self.connection
            .prepare_cached("DELETE FROM hist WHERE pk = ?1")?
            .execute([current.pk])?;
        self.connection
            .prepare_cached("UPDATE res SET kind = kind | ?2 WHERE pk = ?1")?
            .execute((current.pk, NOT_KEPT))?;
        Ok(Outcome::Purged)
    }

    /// The next version takes the place of the current one, which goes into the history where it is kept.
    fn supersede(
        &mut self,
        current: &Current,
        kind: Kind,
        kept: Kept,
        dictionary: i64,
        body: Option<&Vec<u8>>,
    ) -> rusqlite::Result<Written> {
        let is_kept = kept != Kept::Never;
        let keep = "INSERT INTO hist (pk, ver, type, upd, kind, dict, body) SELECT pk, ver, type, upd, kind, dict, body FROM res WHERE pk = ?1";
        if is_kept {
            self.connection.prepare_cached(keep)?.execute([current.pk])?;
        }
        let written = Written {
            version: current.version + 1,
            last_updated: self.clock.tick(),
        };
        let replace = "UPDATE res SET ver = ?2, upd = ?3, kind = ?4, dict = ?5, body = ?6 WHERE pk = ?1";
        self.connection.prepare_cached(replace)?.execute((
            current.pk,
            written.version,
            written.last_updated,
            kind.number() | if is_kept { 0 } else { NOT_KEPT },
            dictionary,
            body,
        ))?;
        Ok(written)
    }
}
