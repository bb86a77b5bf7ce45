//! The writer of a replica: takes the sets that wait, writes them in one transaction, and answers once it is committed.
//!
//! Creates are one statement, which is its own transaction. Everything else begins by taking the clock, the one row that
//! every writer of every replica takes: whoever has it decides alone, on everything that was committed before, so that
//! preconditions and if-none-exist hold over replicas and no version can appear before an older one.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::connections::{Address, Size};
use super::decided::is_plain;
use super::delta::Delta;
use super::error::is_taken;
use super::rows;
use super::texts::{Numbers, Texts, Wanted};
use super::transaction::{Failed, Transaction};
use crate::catalogue::Catalogue;
use crate::commit::{Change, Outcome, Prepared, WriteSet, Written};
use crate::error::CommitError;
use crate::rows::Rows;

/// Sets that share a commit at most: bounds the time that the first of them waits, and that the clock is held.
const BATCH: usize = 256;

/// Batches that take the clock at once after another replica was faster.
const PATIENT: u32 = 16;

/// What a set did.
pub type Answer = Result<Vec<Outcome>, CommitError>;

/// A set and who waits for it.
#[derive(Debug)]
pub struct Waiting {
    pub set: WriteSet,
    pub reply: oneshot::Sender<Answer>,
}

/// The writer of a replica.
#[derive(Debug)]
pub struct Writer {
    address: Address,
    size: Size,
    connection: Option<PgConnection>,
    /// How many resources there were when the connection made its plans.
    planned: i64,
    catalogue: Arc<Catalogue>,
    texts: Texts,
    /// Batches that take the clock at once.
    patience: u32,
}

impl Writer {
    pub fn new(address: Address, size: Size, connection: PgConnection, catalogue: Arc<Catalogue>) -> Self {
        Self {
            address,
            size,
            planned: 0,
            connection: Some(connection),
            catalogue,
            texts: Texts::default(),
            patience: 0,
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
        self.size.plan_again(&mut self.planned, &mut connection).await?;
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

    async fn write(&mut self, connection: &mut PgConnection, sets: &[WriteSet]) -> Result<Vec<Answer>, Failed> {
        let mut wanted = Wanted::default();
        for resource in sets.iter().flat_map(|set| &set.changes).filter_map(Change::resource) {
            wanted.add_keys(&resource.keys);
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
        let mut transaction = Transaction {
            connection,
            catalogue: &self.catalogue,
            texts: &self.texts,
            numbers: &numbers,
        };
        if self.patience > 0 {
            self.patience -= 1;
        } else if let Some(answers) = transaction.at_once(sets).await? {
            return Ok(answers);
        } else if sets.iter().all(is_plain) {
            self.patience = PATIENT;
        }
        transaction.in_turn(sets).await
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
        let mut delta = Delta::default();
        for (at, (of, resource)) in (0..).zip(creates) {
            delta.create(at, *of, resource);
            let rows = rows_of(&self.catalogue, resource, numbers);
            delta.rows.add(at, &rows, &Rows::default());
        }
        let Some((pk, first)) = delta.take(connection, generation).await? else {
            return Ok(None);
        };
        self.size.at_least(pk);
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
