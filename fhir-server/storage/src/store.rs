//! The contract: what a database of one FHIR service can do, whichever engine it has.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fhir_definitions::FhirVersion;
use fhir_resource::Micros;
use fhir_search::{Access, Include, ParamId, Plan};

use crate::check::{CheckReport, Extract};
use crate::commit::{Outcome, WriteSet};
use crate::cursor::Cursor;
use crate::error::{CommitError, OpenError, ReadError};
use crate::history::{HistoryPage, HistoryQuery};
use crate::index::{Filling, Scanned};
use crate::job::{Job, JobChange};
use crate::kept::{KeptQuery, PageKey};
use crate::linked::Included;
use crate::page::Page;
use crate::parameters::InUse;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::version::Version;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file; made where it doesn't exist.
    Sqlite(PathBuf),
    /// A URL of PostgreSQL.
    Postgres(Url),
}

/// A URL that may have a password: it isn't shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// `postgres://user:password@host/database?sslmode=verify-full`
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Url(…)")
    }
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where it is.
    pub database: Database,
    /// The FHIR version that it holds.
    pub version: FhirVersion,
    /// Connections for reading. SQLite: as many as processors, and it has one more for reads by id. PostgreSQL: at most so
    /// many, and it has one more for writing.
    pub readers: usize,
    /// What a statement of PostgreSQL takes at most, whoever waits for it.
    pub statement: Duration,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Until then.
    Until(Instant),
    /// As long as it takes.
    Any,
}

/// An open database. What PostgreSQL does is boxed: its futures are large, and callers that await several of them would
/// carry them all on their stacks, on SQLite too.
#[derive(Debug)]
pub struct Store {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Store {
    /// Opens the database, brings it to the current schema and starts the writer. SQLite blocks meanwhile.
    pub async fn open(options: &StoreOptions) -> Result<Arc<Self>, OpenError> {
        let engine = match &options.database {
            Database::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, options.version, options.readers)?),
            Database::Postgres(Url(url)) => {
                let opened = Postgres::open(url, options.version, options.readers, options.statement).await;
                Engine::Postgres(opened?)
            }
        };
        Ok(Arc::new(Self { engine }))
    }

    /// The schema of the database.
    pub fn schema(&self) -> u32 {
        match &self.engine {
            Engine::Sqlite(_) => Sqlite::SCHEMA,
            Engine::Postgres(_) => Postgres::SCHEMA,
        }
    }

    /// Writes a set and answers once it is on disk.
    pub async fn commit(&self, set: WriteSet) -> Result<Vec<Outcome>, CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.commit(set).await,
            Engine::Postgres(engine) => Box::pin(engine.commit(set)).await,
        }
    }

    /// The current version of a resource; one of kind `Deleted` for a deleted one.
    pub async fn read(&self, resource_type: &str, id: &str) -> Result<Option<Version>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(resource_type, id),
            Engine::Postgres(engine) => Box::pin(engine.read(resource_type, id)).await,
        }
    }

    /// One version of a resource.
    pub async fn version(&self, resource_type: &str, id: &str, version: u32) -> Result<Option<Version>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.version(resource_type, id, version),
            Engine::Postgres(engine) => Box::pin(engine.version(resource_type, id, version)).await,
        }
    }

    /// A page of history, newest first.
    pub async fn history(&self, query: &HistoryQuery, effort: Effort) -> Result<HistoryPage, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.history(query, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.history(query, effort)).await,
        }
    }

    /// How many versions all pages of a history have.
    pub async fn history_count(&self, query: &HistoryQuery, effort: Effort) -> Result<u64, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.history_count(query, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.history_count(query, effort)).await,
        }
    }

    /// A page of matches: at most `count` of them, those behind `after`.
    pub async fn search(
        &self,
        plan: &Plan,
        count: usize,
        after: Option<&Cursor>,
        effort: Effort,
    ) -> Result<Page, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.search(plan, count, after, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.search(plan, count, after, effort)).await,
        }
    }

    /// What is included with a page: what `includes` lead to, as far as `access` sees it; of all of it the part that is in
    /// `window`.
    pub async fn included(
        &self,
        page: &[Version],
        includes: &[Include],
        access: &Access,
        window: Range<usize>,
        effort: Effort,
    ) -> Result<Included, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.included(page, includes, access, window, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.included(page, includes, access, window, effort)).await,
        }
    }

    /// How many resources match.
    pub async fn count(&self, plan: &Plan, effort: Effort) -> Result<u64, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.count(plan, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.count(plan, effort)).await,
        }
    }

    /// At most `most` different exact keys of a parameter that any resource has, in no order.
    pub async fn used(&self, param: ParamId, most: usize, effort: Effort) -> Result<Vec<String>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.used(param, most, effort).await,
            Engine::Postgres(engine) => Box::pin(engine.used(param, most, effort)).await,
        }
    }

    /// What the database would do for a search: its plans of pages and of a count, a line a step.
    pub async fn explain(&self, plan: &Plan) -> Result<Vec<String>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.explain(plan).await,
            Engine::Postgres(engine) => Box::pin(engine.explain(plan)).await,
        }
    }

    /// Proves that bodies, index rows, history and clock agree: `extract` says which rows a body has.
    pub async fn check(&self, extract: Arc<Extract>) -> Result<CheckReport, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.check(extract).await,
            Engine::Postgres(engine) => Box::pin(engine.check(&*extract)).await,
        }
    }

    /// The search parameters that aren't FHIR's, as the database has them.
    pub async fn definitions(&self) -> Result<InUse, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.definitions(),
            Engine::Postgres(engine) => Box::pin(engine.definitions()).await,
        }
    }

    /// The generation of those search parameters: it goes up with each change of them.
    pub async fn generation(&self) -> Result<u64, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.generation(),
            Engine::Postgres(engine) => Box::pin(engine.generation()).await,
        }
    }

    /// Whether other servers may write to the database: what they change has to be looked for.
    pub fn is_shared(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(_) => true,
        }
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.job(id),
            Engine::Postgres(engine) => Box::pin(engine.job(id)).await,
        }
    }

    /// The jobs of a kind: those that are open, oldest first, then the latest of the others.
    pub async fn jobs(&self, kind: &str) -> Result<Vec<Job>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.jobs(kind),
            Engine::Postgres(engine) => Box::pin(engine.jobs(kind)).await,
        }
    }

    /// Changes a job and answers how it is then; `None`: there is none that this may be done to.
    pub async fn change_job(&self, change: JobChange) -> Result<Option<Job>, CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.change_job(change).await,
            Engine::Postgres(engine) => Box::pin(engine.change_job(change)).await,
        }
    }

    /// When the next job of a kind that nobody has begun with is due.
    pub async fn next_due(&self, kind: &str) -> Result<Option<Micros>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.next_due(kind),
            Engine::Postgres(engine) => Box::pin(engine.next_due(kind)).await,
        }
    }

    /// The place of a resource in the order of creation.
    pub async fn pk(&self, resource_type: &str, id: &str) -> Result<Option<i64>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.pk(resource_type, id),
            Engine::Postgres(engine) => Box::pin(engine.pk(resource_type, id)).await,
        }
    }

    /// Live resources of a type behind a pk, in the order of creation.
    pub async fn scan(&self, resource_type: &str, after: i64, count: usize) -> Result<Vec<Scanned>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.scan(resource_type, after, count).await,
            Engine::Postgres(engine) => Box::pin(engine.scan(resource_type, after, count)).await,
        }
    }

    /// Writes the rows of the stored definitions with these numbers (none: of all parameters) for resources that were
    /// written before, as many as 10 ms allow; gives back the others, and those whose keys are of another generation.
    pub async fn fill(&self, each: Vec<Filling>, definitions: &[u32]) -> Result<Vec<Filling>, CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.fill(each, definitions).await,
            Engine::Postgres(engine) => Box::pin(engine.fill(each, definitions)).await,
        }
    }

    /// Removes rows of a retired definition, within about 10 ms; whether none is left, nor the definition itself.
    pub async fn sweep(&self, definition: u32) -> Result<bool, CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.sweep(definition).await,
            Engine::Postgres(engine) => Box::pin(engine.sweep(definition)).await,
        }
    }

    /// The keys of continuation tokens, the newest one first.
    pub async fn page_keys(&self) -> Result<Vec<PageKey>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.page_keys(),
            Engine::Postgres(engine) => Box::pin(engine.page_keys()).await,
        }
    }

    /// Adds a key unless there is one made after `since`; of the others the newest stays.
    pub async fn renew_page_keys(&self, key: PageKey, since: Micros) -> Result<(), CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.renew_page_keys(key, since).await,
            Engine::Postgres(engine) => Box::pin(engine.renew_page_keys(key, since)).await,
        }
    }

    /// A query that is kept for its further pages, by its name.
    pub async fn kept_query(&self, name: &str) -> Result<Option<KeptQuery>, ReadError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.kept_query(name),
            Engine::Postgres(engine) => Box::pin(engine.kept_query(name)).await,
        }
    }

    /// Keeps a query, and forgets those whose time is over.
    pub async fn keep_query(&self, query: KeptQuery, now: Micros) -> Result<(), CommitError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.keep_query(query, now).await,
            Engine::Postgres(engine) => Box::pin(engine.keep_query(query, now)).await,
        }
    }

    /// Takes no more writes, finishes those that wait, and lets go of the database. SQLite blocks meanwhile.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close(),
            Engine::Postgres(engine) => Box::pin(engine.close()).await,
        }
    }
}
