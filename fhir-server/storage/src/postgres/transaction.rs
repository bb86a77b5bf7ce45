//! Updates, deletes and guarded sets: read, decided one after the other, written together.
//!
//! Nobody is kept waiting meanwhile: what was decided is written only if the clock is still what it was when the batch was
//! read, in one statement that is its own transaction. Where another replica was faster, or more than one statement has to
//! be done together, the clock is taken first.

use fhir_search::Plan;
use sqlx::PgConnection;

use super::decided::{Decided, Name, is_plain};
use super::error::is_lost;
use super::search;
use super::texts::{Numbers, Texts};
use super::write::Answer;
use super::{definitions, jobs, rows};
use crate::catalogue::Catalogue;
use crate::commit::{Change, Outcome, WriteSet};
use crate::error::{CommitError, ReadError};
use crate::version::NOT_KEPT;

/// Takes the clock. A statement that takes long would stop every writer, so it may not.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 5000; SELECT 1 FROM service FOR UPDATE";

/// Why a whole batch failed.
#[derive(Debug)]
pub enum Failed {
    Database(sqlx::Error),
    Read(ReadError),
}

impl Failed {
    /// Whether the connection is gone.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Database(error) => is_lost(error),
            Self::Read(error) => matches!(error, ReadError::Lost(_)),
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failed> for CommitError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Database(error) => error.into(),
            Failed::Read(error) => error.into(),
        }
    }
}

/// A batch on its way.
pub struct Transaction<'a> {
    pub connection: &'a mut PgConnection,
    pub catalogue: &'a Catalogue,
    pub texts: &'a Texts,
    pub numbers: &'a Numbers,
}

impl<'a> Transaction<'a> {
    /// Decides each set, in order, and writes what they come to in one statement. `None`: nothing was written, the clock has
    /// to be taken first.
    pub async fn at_once(&mut self, sets: &'a [WriteSet]) -> Result<Option<Vec<Answer>>, Failed> {
        if !sets.iter().all(is_plain) {
            return Ok(None);
        }
        let mut decided = self.begin(sets).await?;
        let mut answers = Vec::with_capacity(sets.len());
        for set in sets {
            if set.is_outdated(decided.generation()) {
                answers.push(Err(CommitError::Outdated(Box::default())));
                continue;
            }
            if let Some(guard) = &set.guard {
                if decided.may_change(&guard.plan) {
                    return Ok(None);
                }
                if let Err(error) = self.guard(&guard.plan).await? {
                    answers.push(Err(error));
                    continue;
                }
            }
            answers.push(decided.set(set));
        }
        if decided.is_empty() {
            return Ok(Some(answers));
        }
        let (on, delta, then) = decided.drain(self.numbers);
        let is_done = delta.set(self.connection, on, then).await?;
        Ok(is_done.then_some(answers))
    }

    /// Takes the clock, decides each set, in order, and commits.
    pub async fn in_turn(&mut self, sets: &'a [WriteSet]) -> Result<Vec<Answer>, Failed> {
        sqlx::raw_sql(BEGIN).execute(&mut *self.connection).await?;
        let mut decided = self.begin(sets).await?;
        let mut answers = Vec::with_capacity(sets.len());
        for set in sets {
            answers.push(self.set(&mut decided, set).await?);
        }
        self.flush(&mut decided).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *self.connection).await?;
        Ok(answers)
    }

    /// Reads what the sets are about.
    async fn begin(&mut self, sets: &[WriteSet]) -> Result<Decided<'a>, Failed> {
        let names = sets.iter().flat_map(|set| self.names(set)).collect();
        let (on, now, found) = rows::current(self.connection, self.catalogue, names).await?;
        let mut decided = Decided::new(self.catalogue, on, now);
        for (name, current) in found {
            decided.know(name, current);
        }
        Ok(decided)
    }

    fn names(&self, set: &WriteSet) -> Vec<Name> {
        let name = |change: &Change| Decided::name(self.catalogue, change);
        set.changes.iter().filter_map(name).collect()
    }

    /// Reads what isn't known of these.
    async fn know(&mut self, decided: &mut Decided<'a>, names: Vec<Name>) -> Result<(), Failed> {
        let names: Vec<Name> = names.into_iter().filter(|name| !decided.knows(name)).collect();
        if !names.is_empty() {
            let (_, _, found) = rows::current(self.connection, self.catalogue, names).await?;
            for (name, current) in found {
                decided.know(name, current);
            }
        }
        Ok(())
    }

    async fn set(&mut self, decided: &mut Decided<'a>, set: &'a WriteSet) -> Result<Answer, Failed> {
        if set.is_outdated(decided.generation()) {
            // whoever has the set gives it back
            return Ok(Err(CommitError::Outdated(Box::default())));
        }
        if let Some(guard) = &set.guard {
            if decided.may_change(&guard.plan) {
                self.flush(decided).await?;
            }
            if let Err(error) = self.guard(&guard.plan).await? {
                return Ok(Err(error));
            }
        }
        self.know(decided, self.names(set)).await?;
        if is_plain(set) {
            return Ok(decided.set(set));
        }
        self.flush(decided).await?;
        let on = decided.moment();
        sqlx::raw_sql("SAVEPOINT one").execute(&mut *self.connection).await?;
        let mut outcomes = Vec::with_capacity(set.changes.len());
        for change in &set.changes {
            // each change sees the one before it
            self.know(decided, self.names(set)).await?;
            match self.change(decided, change).await? {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    sqlx::raw_sql("ROLLBACK TO one").execute(&mut *self.connection).await?;
                    decided.rewind(on);
                    return Ok(Err(error));
                }
            }
        }
        self.flush(decided).await?;
        for job in &set.jobs {
            jobs::add(self.connection, job, decided.now()).await?;
        }
        if let Some(change) = &set.definitions {
            definitions::change(self.connection, change).await?;
            decided.next_generation();
        }
        Ok(Ok(outcomes))
    }

    /// One change, with what can't be done together with others.
    async fn change(
        &mut self,
        decided: &mut Decided<'a>,
        change: &'a Change,
    ) -> Result<Result<Outcome, CommitError>, Failed> {
        let (Change::Delete {
            resource_type,
            id,
            expected,
            hard: true,
            ..
        }
        | Change::PurgeHistory {
            resource_type,
            id,
            expected,
        }) = change
        else {
            return Ok(decided.change(change));
        };
        self.flush(decided).await?;
        self.know(decided, Decided::name(self.catalogue, change).into_iter().collect())
            .await?;
        let is_whole = matches!(change, Change::Delete { .. });
        let (pk, on, delta, then) = match decided.purge(resource_type, id, *expected, is_whole) {
            Ok(Some(purged)) => purged,
            Ok(None) => return Ok(Ok(Outcome::AlreadyDeleted)),
            Err(error) => return Ok(Err(error)),
        };
        if !delta.set(self.connection, on, then).await? {
            return Err(sqlx::Error::RowNotFound.into());
        }
        let statements: &[&str] = if is_whole {
            &["DELETE FROM hist WHERE pk = $1", "DELETE FROM res WHERE pk = $1"]
        } else {
            &[
                "DELETE FROM hist WHERE pk = $1",
                "UPDATE res SET kind = kind::int8 | $2 WHERE pk = $1",
            ]
        };
        for sql in statements {
            let query = sqlx::query(*sql).bind(pk);
            let query = if sql.contains("$2") {
                query.bind(NOT_KEPT)
            } else {
                query
            };
            query.execute(&mut *self.connection).await?;
        }
        Ok(Ok(Outcome::Purged))
    }

    /// Nothing may match.
    async fn guard(&mut self, plan: &Plan) -> Result<Result<(), CommitError>, Failed> {
        let found = search::page(self.connection, self.catalogue, self.texts, plan, 2, None).await;
        let mut found = match found {
            Ok(page) => page.entries,
            Err(error @ ReadError::Damaged(_)) => return Ok(Err(error.into())),
            Err(error) => return Err(Failed::Read(error)),
        };
        Ok(match found.len() {
            0 => Ok(()),
            1 => Err(CommitError::Exists(Box::new(found.remove(0)))),
            _ => Err(CommitError::NotSelective),
        })
    }

    /// Writes what is decided, while the clock is held.
    async fn flush(&mut self, decided: &mut Decided<'a>) -> Result<(), Failed> {
        if decided.is_empty() {
            return Ok(());
        }
        let (on, delta, then) = decided.drain(self.numbers);
        if delta.set(self.connection, on, then).await? {
            Ok(())
        } else {
            Err(sqlx::Error::RowNotFound.into())
        }
    }
}
