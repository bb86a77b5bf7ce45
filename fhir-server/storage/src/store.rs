//! The store: readers for everybody, one writer thread behind a bounded queue.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use fhir_definitions::FhirVersion;
use fhir_search::{Access, Include, Plan};
use tokio::sync::{mpsc, oneshot};

use crate::catalogue::Catalogue;
use crate::check::{self, CheckReport};
use crate::commit::{Outcome, WriteSet};
use crate::cursor::Cursor;
use crate::error::{CommitError, OpenError, ReadError};
use crate::history::{self, HistoryPage, HistoryQuery};
use crate::linked::{self, Included};
use crate::lock::Lock;
use crate::reader::{Effort, Reader, Taken, lock};
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
    /// Connections for searches: as many as processors. Reads by id have one more for themselves.
    pub readers: usize,
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    /// The first is for what is done in microseconds only.
    readers: Vec<Reader>,
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
            readers,
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
        read::current(&self.quick(), &self.catalogue, resource_type, id)
    }

    /// One version of a resource.
    pub fn version(&self, resource_type: &str, id: &str, version: u32) -> Result<Option<Version>, ReadError> {
        read::version(&self.quick(), &self.catalogue, resource_type, id, version)
    }

    /// A page of history, newest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
        history::page(&*self.reader(Effort::Any)?, &self.catalogue, query)
    }

    /// A page of matches: at most `count` of them, those behind `after`.
    pub fn search(&self, plan: &Plan, count: usize, after: Option<&Cursor>, effort: Effort) -> Result<Page, ReadError> {
        search::page(&*self.reader(effort)?, &self.catalogue, plan, count, after)
    }

    /// What is included with a page: what `includes` lead to, as far as `access` sees it, at most `limit`.
    pub fn included(
        &self,
        page: &[Version],
        includes: &[Include],
        access: &Access,
        limit: usize,
        effort: Effort,
    ) -> Result<Included, ReadError> {
        linked::included(&*self.reader(effort)?, &self.catalogue, page, includes, access, limit)
    }

    /// How many resources match.
    pub fn count(&self, plan: &Plan, effort: Effort) -> Result<u64, ReadError> {
        search::count(&*self.reader(effort)?, &self.catalogue, plan)
    }

    /// What SQLite would do for a search: its plan, a line a step.
    pub fn explain(&self, plan: &Plan) -> Result<Vec<String>, ReadError> {
        search::explain(&*self.reader(Effort::Any)?, &self.catalogue, plan)
    }

    /// Proves that bodies, index rows, history and clock agree, as far as storage alone can tell.
    pub fn check(&self) -> Result<CheckReport, ReadError> {
        check::run(&*self.reader(Effort::Any)?)
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

    /// For what is done in microseconds: any free connection, else the one that nothing long may have.
    fn quick(&self) -> Taken<'_> {
        free(&self.readers, Effort::Any).unwrap_or_else(|| self.readers[0].take(Effort::Any))
    }

    /// For what may take long: never the first connection, unless the effort is little.
    fn reader(&self, effort: Effort) -> Result<Taken<'_>, ReadError> {
        if effort == Effort::Little {
            return free(&self.readers, effort).ok_or(ReadError::TooMuch);
        }
        let others = &self.readers[1..];
        Ok(free(others, effort).unwrap_or_else(|| {
            let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % others.len();
            others[turn].take(effort)
        }))
    }
}

/// One that nobody has.
fn free(readers: &[Reader], effort: Effort) -> Option<Taken<'_>> {
    readers.iter().find_map(|reader| reader.try_take(effort))
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
