//! SQLite: readers for everybody, one writer thread behind a bounded queue. Every read sees every acknowledged write.

mod catalogue;
mod check;
mod clock;
mod counted;
mod definitions;
mod error;
mod index;
mod jobs;
mod kept;
mod linked;
mod lock;
mod open;
mod owned;
mod read;
mod reader;
mod rows;
mod schema;
mod search;
mod value;
mod write;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use fhir_definitions::FhirVersion;
use fhir_resource::Micros;
use fhir_search::key::Asked;
use fhir_search::{Access, Include, ParamId, Plan};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

pub use self::counted::Counts;
use self::lock::Lock;
use self::reader::{Limit, Reader, Taken, lock};
use self::write::{Job, Set, Work, Writer};
use crate::catalogue::Catalogue;
use crate::check::{CheckReport, Extract};
use crate::commit::{Outcome, WriteSet};
use crate::cursor::Cursor;
use crate::error::{CommitError, OpenError, ReadError};
use crate::history::{HistoryPage, HistoryQuery};
use crate::index::{Filling, Scanned};
use crate::job as store_job;
use crate::kept::{KeptQuery, PageKey};
use crate::linked::{Included, Name};
use crate::page::Page;
use crate::parameters::InUse;
use crate::sql::dialect::Dialect;
use crate::sql::history;
use crate::sql::row::Raw;
use crate::store::Effort;
use crate::version::Version;

/// An open SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    /// The first is for what is done in microseconds only.
    readers: Vec<Reader>,
    next_reader: AtomicUsize,
    catalogue: Arc<Catalogue>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

impl Sqlite {
    /// Opens the database, brings it to the current schema and starts the writer. Blocks.
    pub fn open(path: &Path, version: FhirVersion, readers: usize) -> Result<Arc<Self>, OpenError> {
        let open::Opened {
            lock,
            readers,
            catalogue,
            jobs,
            writer,
        } = open::open(path, version, readers)?;
        Ok(Arc::new(Self {
            readers,
            next_reader: AtomicUsize::new(0),
            catalogue,
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// The schema of every open database.
    pub const SCHEMA: u32 = schema::CURRENT;

    /// Writes a set and answers once it is on disk.
    pub async fn commit(&self, set: WriteSet) -> Result<Vec<Outcome>, CommitError> {
        let jobs = lock(&self.jobs).clone().ok_or(CommitError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        jobs.try_send(Job::Set(Set { set, reply }))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CommitError::Busy,
                mpsc::error::TrySendError::Closed(_) => CommitError::Closed,
            })?;
        drop(jobs);
        outcome.await.unwrap_or(Err(CommitError::Closed))
    }

    /// The current version of a resource.
    pub fn read(&self, resource_type: &str, id: &str) -> Result<Option<Version>, ReadError> {
        read::current(&self.quick(), &self.catalogue, resource_type, id)
    }

    /// One version of a resource.
    pub fn version(&self, resource_type: &str, id: &str, version: u32) -> Result<Option<Version>, ReadError> {
        read::version(&self.quick(), &self.catalogue, resource_type, id, version)
    }

    /// A page of history.
    pub async fn history(self: &Arc<Self>, query: &HistoryQuery, effort: Effort) -> Result<HistoryPage, ReadError> {
        match self.soon(|connection| past(connection, &self.catalogue, query)) {
            Err(ReadError::TooMuch) => {
                let query = query.clone();
                self.later(effort, move |connection, catalogue| past(connection, catalogue, &query))
                    .await
            }
            soon => soon,
        }
    }

    /// How many versions all pages of a history have.
    pub async fn history_count(self: &Arc<Self>, query: &HistoryQuery, effort: Effort) -> Result<u64, ReadError> {
        match self.soon(|connection| count_past(connection, &self.catalogue, query)) {
            Err(ReadError::TooMuch) => {
                let query = query.clone();
                self.later(effort, move |connection, catalogue| {
                    count_past(connection, catalogue, &query)
                })
                .await
            }
            soon => soon,
        }
    }

    /// A page of matches.
    pub async fn search(
        self: &Arc<Self>,
        plan: &Plan,
        count: usize,
        after: Option<&Cursor>,
        effort: Effort,
    ) -> Result<Page, ReadError> {
        match self.soon(|connection| search::page(connection, &self.catalogue, plan, count, after)) {
            Err(ReadError::TooMuch) => {
                let (plan, after) = (plan.clone(), after.cloned());
                self.later(effort, move |connection, catalogue| {
                    search::page(connection, catalogue, &plan, count, after.as_ref())
                })
                .await
            }
            soon => soon,
        }
    }

    /// What is included with a page.
    pub async fn included(
        self: &Arc<Self>,
        page: &[Version],
        includes: &[Include],
        access: &Access,
        window: Range<usize>,
        effort: Effort,
    ) -> Result<Included, ReadError> {
        let page: Vec<Name> = page.iter().map(Version::name).collect();
        match self
            .soon(|connection| linked::included(connection, &self.catalogue, &page, includes, access, window.clone()))
        {
            Err(ReadError::TooMuch) => {
                let (includes, access) = (includes.to_vec(), access.clone());
                self.later(effort, move |connection, catalogue| {
                    linked::included(connection, catalogue, &page, &includes, &access, window)
                })
                .await
            }
            soon => soon,
        }
    }

    /// How many resources match.
    pub async fn count(self: &Arc<Self>, plan: &Plan, effort: Effort) -> Result<u64, ReadError> {
        match self.soon(|connection| search::count(connection, &self.catalogue, plan)) {
            Err(ReadError::TooMuch) => {
                let plan = plan.clone();
                self.later(effort, move |connection, catalogue| {
                    search::count(connection, catalogue, &plan)
                })
                .await
            }
            soon => soon,
        }
    }

    /// Keys of a parameter.
    pub async fn used(self: &Arc<Self>, param: ParamId, most: usize, effort: Effort) -> Result<Vec<String>, ReadError> {
        self.later(effort, move |connection, catalogue| {
            Ok(search::used(connection, catalogue.param(param), most)?)
        })
        .await
    }

    /// What SQLite would do for a search.
    pub async fn explain(self: &Arc<Self>, plan: &Plan) -> Result<Vec<String>, ReadError> {
        let plan = plan.clone();
        self.later(Effort::Any, move |connection, catalogue| {
            search::explain(connection, catalogue, &plan)
        })
        .await
    }

    /// The generation of the search parameters.
    pub fn generation(&self) -> Result<u64, ReadError> {
        Ok(definitions::generation(&self.quick())?)
    }

    /// The search parameters that aren't FHIR's.
    pub fn definitions(&self) -> Result<InUse, ReadError> {
        definitions::read(&self.quick())
    }

    /// One job.
    pub fn job(&self, id: &str) -> Result<Option<store_job::Job>, ReadError> {
        Ok(jobs::read(&self.quick(), id)?)
    }

    /// The jobs of a kind.
    pub fn jobs(&self, kind: &str) -> Result<Vec<store_job::Job>, ReadError> {
        Ok(jobs::list(&self.quick(), kind)?)
    }

    /// When the next job of a kind is due.
    pub fn next_due(&self, kind: &str) -> Result<Option<Micros>, ReadError> {
        Ok(jobs::due(&self.quick(), kind)?)
    }

    /// Changes a job.
    pub async fn change_job(&self, change: store_job::JobChange) -> Result<Option<store_job::Job>, CommitError> {
        self.work(move |writer| writer.change_job(&change)).await
    }

    /// The place of a resource in the order of creation.
    pub fn pk(&self, resource_type: &str, id: &str) -> Result<Option<i64>, ReadError> {
        index::pk(&self.quick(), &self.catalogue, resource_type, id)
    }

    /// Live resources of a type behind a pk.
    pub async fn scan(
        self: &Arc<Self>,
        resource_type: &str,
        after: i64,
        count: usize,
    ) -> Result<Vec<Scanned>, ReadError> {
        let of = resource_type.to_owned();
        self.later(Effort::Any, move |connection, catalogue| {
            index::scan(connection, catalogue, &of, after, count)
        })
        .await
    }

    /// Writes rows of resources that were written before.
    pub async fn fill(&self, each: Vec<Filling>, definitions: &[u32]) -> Result<Vec<Filling>, CommitError> {
        let definitions = definitions.to_vec();
        self.work(move |writer| writer.fill(each, &definitions)).await
    }

    /// Removes rows of a retired definition.
    pub async fn sweep(&self, definition: u32) -> Result<bool, CommitError> {
        self.work(move |writer| writer.sweep(definition)).await
    }

    /// Work on the writer, in a transaction of its own between batches.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, CommitError> + Send + 'static,
    ) -> Result<T, CommitError> {
        let waiting = lock(&self.jobs).clone().ok_or(CommitError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        let work = Work::new(move |writer| {
            // whoever doesn't wait any more doesn't need the answer
            let _ = reply.send(writer.alone(work));
        });
        waiting.send(Job::Work(work)).await.map_err(|_| CommitError::Closed)?;
        outcome.await.unwrap_or(Err(CommitError::Closed))
    }

    /// The keys of continuation tokens.
    pub fn page_keys(&self) -> Result<Vec<PageKey>, ReadError> {
        Ok(kept::keys(&self.quick())?)
    }

    /// Adds a key of continuation tokens where it is needed.
    pub async fn renew_page_keys(&self, key: PageKey, since: Micros) -> Result<(), CommitError> {
        self.work(move |writer| Ok(kept::renew(&writer.connection, &key, since)?))
            .await
    }

    /// A query that is kept.
    pub fn kept_query(&self, name: &str) -> Result<Option<KeptQuery>, ReadError> {
        Ok(kept::query(&self.quick(), name)?)
    }

    /// Keeps a query.
    pub async fn keep_query(&self, query: KeptQuery, now: Micros) -> Result<(), CommitError> {
        self.work(move |writer| Ok(kept::keep(&writer.connection, &query, now)?))
            .await
    }

    /// Proves that the database agrees with itself.
    pub async fn check(self: &Arc<Self>, extract: Arc<Extract>) -> Result<CheckReport, ReadError> {
        self.later(Effort::Any, move |connection, catalogue| {
            check::run(connection, catalogue, &*extract)
        })
        .await
    }

    /// Takes no more writes, finishes those that wait, folds the log into the database file and lets go of its lock.
    /// Blocks.
    pub fn close(&self) {
        lock(&self.jobs).take();
        // the writer's connection is the last one: SQLite removes the log with that
        self.readers.iter().for_each(Reader::close);
        if let Some(writer) = lock(&self.writer).take()
            && writer.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
        lock(&self.lock).take();
    }

    /// For what is done in microseconds: any free connection, else the one that nothing long may have.
    fn quick(&self) -> Taken<'_> {
        let any = Limit::Effort(Effort::Any);
        free(&self.readers, any).unwrap_or_else(|| self.readers[0].take(any))
    }

    /// Most answers are found sooner than another thread would begin with them: tries it here, with little effort.
    fn soon<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        ask(&*free(&self.readers, Limit::Little).ok_or(ReadError::TooMuch)?)
    }

    /// Blocking work, never on the first connection.
    async fn later<T: Send + 'static>(
        self: &Arc<Self>,
        effort: Effort,
        ask: impl FnOnce(&Connection, &Catalogue) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let store = Arc::clone(self);
        let work = move || {
            let others = &store.readers[1..];
            let limit = Limit::Effort(effort);
            let reader = free(others, limit).unwrap_or_else(|| {
                let turn = store.next_reader.fetch_add(1, Ordering::Relaxed) % others.len();
                others[turn].take(limit)
            });
            ask(&reader, &store.catalogue)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| ReadError::Failed(error.to_string()))?
    }
}

/// One that nobody has.
fn free(readers: &[Reader], limit: Limit) -> Option<Taken<'_>> {
    readers.iter().find_map(|reader| reader.try_take(limit))
}

fn past(connection: &Connection, catalogue: &Catalogue, query: &HistoryQuery) -> Result<HistoryPage, ReadError> {
    let mut find = |param, asked: Asked<'_>| rows::asked(connection, param, asked);
    let Some(statement) = history::statement(Dialect::Sqlite, catalogue, query, &mut find)? else {
        return Ok(HistoryPage::default());
    };
    let mut select = connection.prepare_cached(&statement.text)?;
    let raws = select
        .query_map(rusqlite::params_from_iter(statement.arguments), Raw::of)?
        .collect::<Result<Vec<_>, _>>()?;
    history::page(raws, catalogue, query.count)
}

fn count_past(connection: &Connection, catalogue: &Catalogue, query: &HistoryQuery) -> Result<u64, ReadError> {
    let mut find = |param, asked: Asked<'_>| rows::asked(connection, param, asked);
    match history::count(Dialect::Sqlite, catalogue, query, &mut find)? {
        None => Ok(0),
        Some(statement) => Ok(search::number(connection, statement)?.unsigned_abs()),
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
