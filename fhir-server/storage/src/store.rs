//! The store: readers for everybody, one writer thread behind a bounded queue.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use fhir_definitions::FhirVersion;
use fhir_search::Plan;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::catalogue::Catalogue;
use crate::check::{self, CheckReport};
use crate::commit::{Outcome, WriteSet};
use crate::cursor::Cursor;
use crate::error::{CommitError, OpenError, ReadError};
use crate::history::{self, HistoryPage, HistoryQuery};
use crate::lock::Lock;
use crate::search::{self, Page};
use crate::version::Version;
use crate::write::Job;
use crate::{open, read, schema};

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The database file; made where it doesn't exist.
    pub path: PathBuf,
    /// The FHIR version that it holds.
    pub version: FhirVersion,
    /// Connections for reading: as many as requests are served at a time.
    pub readers: usize,
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    catalogue: Arc<Catalogue>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

impl Store {
    /// Opens the database, brings it to the current schema and starts the writer. Blocks.
    pub fn open(options: &StoreOptions) -> Result<Arc<Self>, OpenError> {
        let open::Opened {
            lock,
            readers,
            catalogue,
            jobs,
            writer,
        } = open::open(options)?;
        Ok(Arc::new(Self {
            readers: readers.into_iter().map(Mutex::new).collect(),
            next_reader: AtomicUsize::new(0),
            catalogue,
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// The schema of the database.
    pub fn schema(&self) -> u32 {
        schema::CURRENT
    }

    /// Writes a set and answers once it is on disk.
    pub async fn commit(&self, set: WriteSet) -> Result<Vec<Outcome>, CommitError> {
        let jobs = lock(&self.jobs).clone().ok_or(CommitError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        jobs.try_send(Job { set, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommitError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommitError::Closed,
        })?;
        drop(jobs);
        outcome.await.unwrap_or(Err(CommitError::Closed))
    }

    /// The current version of a resource; one of kind `Deleted` for a deleted one.
    pub fn read(&self, resource_type: &str, id: &str) -> Result<Option<Version>, ReadError> {
        read::current(&self.reader(), &self.catalogue, resource_type, id)
    }

    /// One version of a resource.
    pub fn version(&self, resource_type: &str, id: &str, version: u32) -> Result<Option<Version>, ReadError> {
        read::version(&self.reader(), &self.catalogue, resource_type, id, version)
    }

    /// A page of history, newest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
        history::page(&self.reader(), &self.catalogue, query)
    }

    /// A page of matches: at most `count` of them, those behind `after`.
    pub fn search(&self, plan: &Plan, count: usize, after: Option<Cursor>) -> Result<Page, ReadError> {
        search::page(&self.reader(), &self.catalogue, plan, count, after)
    }

    /// How many resources match.
    pub fn count(&self, plan: &Plan) -> Result<u64, ReadError> {
        search::count(&self.reader(), &self.catalogue, plan)
    }

    /// What SQLite would do for a search: its plan, a line a step.
    pub fn explain(&self, plan: &Plan) -> Result<Vec<String>, ReadError> {
        search::explain(&self.reader(), &self.catalogue, plan)
    }

    /// Proves that bodies, index rows, history and clock agree, as far as storage alone can tell.
    pub fn check(&self) -> Result<CheckReport, ReadError> {
        check::run(&self.reader())
    }

    /// Takes no more writes, finishes those that wait, and folds the log into the database file and lets
    /// go of its lock. Blocks.
    pub fn close(&self) {
        lock(&self.jobs).take();
        if let Some(writer) = lock(&self.writer).take()
            && writer.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
        lock(&self.lock).take();
    }

    /// A connection that is free now, else the next one in turn.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        if let Some(free) = self.readers.iter().find_map(|reader| reader.try_lock().ok()) {
            return free;
        }
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        lock(&self.readers[turn])
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// A poisoned connection is still a connection: SQLite rolls back what was open.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
