//! PostgreSQL, 15 or newer: several servers may share a database. Every read sees every acknowledged write of any of them.

mod catalogue;
mod check;
mod connections;
mod decided;
mod definitions;
mod delta;
mod error;
mod guard;
mod index;
mod jobs;
mod kept;
mod linked;
mod owned;
mod rows;
mod schema;
mod search;
mod texts;
mod transaction;
mod value;
mod write;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fhir_definitions::FhirVersion;
use fhir_resource::Micros;
use fhir_search::{Access, Include, ParamId, Plan};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::connections::{Address, Connections, Size};
use self::texts::Texts;
use self::write::{Waiting, Writer};
use crate::catalogue::Catalogue;
use crate::check::{CheckReport, Extract};
use crate::commit::{Outcome, WriteSet};
use crate::cursor::Cursor;
use crate::error::{CommitError, OpenError, ReadError};
use crate::history::{HistoryPage, HistoryQuery};
use crate::index::{Filling, Scanned};
use crate::job::{Job, JobChange};
use crate::kept::{KeptQuery, PageKey};
use crate::linked::{Included, Name};
use crate::page::Page;
use crate::parameters::InUse;
use crate::sql::history;
use crate::sql::row::Raw;
use crate::store::Effort;
use crate::version::Version;

/// Sets that may wait for the writer; more are refused, so that memory and latency stay bounded.
const QUEUE: usize = 1024;

const CURRENT: &str =
    "SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, r.id FROM res r WHERE r.type = $1 AND r.id = $2";
const ONE_VERSION: &str = "SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, r.id FROM res r \
     WHERE r.type = $1 AND r.id = $2 AND r.ver = $3 UNION ALL \
     SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, c.id FROM res c \
     JOIN LATERAL (SELECT r.* FROM hist r WHERE r.pk = c.pk AND r.ver = $3 OFFSET 0) r ON TRUE WHERE c.type = $1 AND c.id = $2";

/// Asks a second time where the first connection had been lost: a new one may be had.
macro_rules! again {
    ($store:ident, $ask:block) => {{
        let first: Result<_, ReadError> = async { $ask }.await;
        match first {
            Err(ReadError::Lost(_)) => {
                $store.texts.forget();
                async { $ask }.await
            }
            answer => answer,
        }
    }};
}

/// An open PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    readers: Connections,
    size: Size,
    catalogue: Arc<Catalogue>,
    texts: Texts,
    jobs: Mutex<Option<mpsc::Sender<Waiting>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Postgres {
    /// The schema of every open database.
    pub const SCHEMA: u32 = schema::CURRENT;

    /// Opens the database, brings it to the current schema and starts the writer. `statement` bounds every statement.
    pub async fn open(
        url: &str,
        version: FhirVersion,
        readers: usize,
        statement: Duration,
    ) -> Result<Arc<Self>, OpenError> {
        let address = Address::of(url, statement)?;
        let mut connection = address.connect().await?;
        let mut transaction = schema::migrate(&mut connection, &version.to_string()).await?;
        let catalogue = Arc::new(catalogue::load(&mut transaction, version).await?);
        owned::settle(&mut transaction, &catalogue).await?;
        transaction.commit().await?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let size = Size::default();
        let writer = Writer::new(address.clone(), size.clone(), connection, Arc::clone(&catalogue));
        Ok(Arc::new(Self {
            readers: Connections::new(address, size.clone(), readers),
            size,
            catalogue,
            texts: Texts::default(),
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(tokio::spawn(writer.run(waiting)))),
        }))
    }

    /// The generation of the search parameters.
    pub async fn generation(&self) -> Result<u64, ReadError> {
        let (generation, next_pk) = again!(self, {
            let mut reader = self.readers.take().await?;
            let found = definitions::generation(reader.get()).await;
            reader.give_back(found.map_err(ReadError::from))
        })?;
        self.size.at_least(next_pk);
        Ok(generation)
    }

    /// Writes a set and answers once it is committed.
    pub async fn commit(&self, set: WriteSet) -> Result<Vec<Outcome>, CommitError> {
        let jobs = lock(&self.jobs).clone().ok_or(CommitError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        jobs.try_send(Waiting { set, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommitError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommitError::Closed,
        })?;
        drop(jobs);
        outcome.await.unwrap_or(Err(CommitError::Closed))
    }

    /// The current version of a resource.
    pub async fn read(&self, resource_type: &str, id: &str) -> Result<Option<Version>, ReadError> {
        let Some(number) = self.catalogue.type_number(resource_type) else {
            return Ok(None);
        };
        let raw = again!(self, {
            let mut reader = self.readers.take().await?;
            let query = sqlx::query(CURRENT).bind(number).bind(value::clean(id.to_owned()));
            let row = query.fetch_optional(reader.get()).await;
            let raw = row.and_then(|row| row.as_ref().map(Raw::of_row).transpose());
            reader.give_back(raw.map_err(ReadError::from))
        })?;
        raw.map(|raw| raw.serve(&self.catalogue)).transpose()
    }

    /// One version of a resource.
    pub async fn version(&self, resource_type: &str, id: &str, version: u32) -> Result<Option<Version>, ReadError> {
        let Some(number) = self.catalogue.type_number(resource_type) else {
            return Ok(None);
        };
        let raw = again!(self, {
            let mut reader = self.readers.take().await?;
            let query = sqlx::query(ONE_VERSION).bind(number).bind(value::clean(id.to_owned()));
            let row = query.bind(i64::from(version)).fetch_optional(reader.get()).await;
            let raw = row.and_then(|row| row.as_ref().map(Raw::of_row).transpose());
            reader.give_back(raw.map_err(ReadError::from))
        })?;
        raw.map(|raw| raw.serve(&self.catalogue)).transpose()
    }

    /// A page of history.
    pub async fn history(&self, query: &HistoryQuery, effort: Effort) -> Result<HistoryPage, ReadError> {
        let raws = within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let raws = search::past(reader.get(), &self.catalogue, &self.texts, query).await;
                reader.give_back(raws)
            })
        })
        .await?;
        history::page(raws, &self.catalogue, query.count)
    }

    /// How many versions all pages of a history have.
    pub async fn history_count(&self, query: &HistoryQuery, effort: Effort) -> Result<u64, ReadError> {
        within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let count = search::count_past(reader.get(), &self.catalogue, &self.texts, query).await;
                reader.give_back(count)
            })
        })
        .await
    }

    /// A page of matches.
    pub async fn search(
        &self,
        plan: &Plan,
        count: usize,
        after: Option<&Cursor>,
        effort: Effort,
    ) -> Result<Page, ReadError> {
        within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let page = search::page(reader.get(), &self.catalogue, &self.texts, plan, count, after).await;
                reader.give_back(page)
            })
        })
        .await
    }

    /// What is included with a page.
    pub async fn included(
        &self,
        page: &[Version],
        includes: &[Include],
        access: &Access,
        window: Range<usize>,
        effort: Effort,
    ) -> Result<Included, ReadError> {
        let page: Vec<Name> = page.iter().map(Version::name).collect();
        within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let asked = (includes, access);
                let found =
                    linked::included(reader.get(), &self.catalogue, &self.texts, &page, asked, window.clone()).await;
                reader.give_back(found)
            })
        })
        .await
    }

    /// How many resources match.
    pub async fn count(&self, plan: &Plan, effort: Effort) -> Result<u64, ReadError> {
        within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let count = search::count(reader.get(), &self.catalogue, &self.texts, plan).await;
                reader.give_back(count)
            })
        })
        .await
    }

    /// Keys of a parameter.
    pub async fn used(&self, param: ParamId, most: usize, effort: Effort) -> Result<Vec<String>, ReadError> {
        within(effort, async {
            again!(self, {
                let mut reader = self.readers.take().await?;
                let keys = search::used(reader.get(), self.catalogue.param(param), most).await;
                reader.give_back(keys)
            })
        })
        .await
    }

    /// What PostgreSQL would do for a search.
    pub async fn explain(&self, plan: &Plan) -> Result<Vec<String>, ReadError> {
        let mut reader = self.readers.take().await?;
        let lines = search::explain(reader.get(), &self.catalogue, &self.texts, plan).await;
        reader.give_back(lines)
    }

    /// Proves that the database agrees with itself.
    pub async fn check(&self, extract: &Extract) -> Result<CheckReport, ReadError> {
        let mut reader = self.readers.take().await?;
        let report = check::run(reader.get(), &self.catalogue, extract).await;
        reader.give_back(report)
    }

    /// The search parameters that aren't FHIR's.
    pub async fn definitions(&self) -> Result<InUse, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = definitions::read(reader.get()).await;
            reader.give_back(found)
        })
    }

    /// One job.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = jobs::read(reader.get(), id).await;
            reader.give_back(found.map_err(ReadError::from))
        })
    }

    /// The jobs of a kind.
    pub async fn jobs(&self, kind: &str) -> Result<Vec<Job>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = jobs::list(reader.get(), kind).await;
            reader.give_back(found.map_err(ReadError::from))
        })
    }

    /// Changes a job.
    pub async fn change_job(&self, change: JobChange) -> Result<Option<Job>, CommitError> {
        let mut connection = self.readers.take().await?;
        let done = jobs::change(connection.get(), &change).await;
        Ok(connection.give_back(done.map_err(ReadError::from))?)
    }

    /// When the next job of a kind is due.
    pub async fn next_due(&self, kind: &str) -> Result<Option<Micros>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = jobs::due(reader.get(), kind).await;
            reader.give_back(found.map_err(ReadError::from))
        })
    }

    /// The place of a resource in the order of creation.
    pub async fn pk(&self, resource_type: &str, id: &str) -> Result<Option<i64>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = index::pk(reader.get(), &self.catalogue, resource_type, id).await;
            reader.give_back(found)
        })
    }

    /// Live resources of a type behind a pk.
    pub async fn scan(&self, resource_type: &str, after: i64, count: usize) -> Result<Vec<Scanned>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = index::scan(reader.get(), &self.catalogue, resource_type, after, count).await;
            reader.give_back(found)
        })
    }

    /// Writes rows of stored definitions.
    pub async fn fill(&self, each: Vec<Filling>, definitions: &[u32]) -> Result<Vec<Filling>, CommitError> {
        let mut connection = self.readers.take().await?;
        let done = index::fill(connection.get(), &self.catalogue, each, definitions).await;
        Ok(connection.give_back(done.map_err(ReadError::from))?)
    }

    /// Removes rows of a retired definition.
    pub async fn sweep(&self, definition: u32) -> Result<bool, CommitError> {
        let mut connection = self.readers.take().await?;
        let done = index::sweep(connection.get(), definition).await;
        Ok(connection.give_back(done.map_err(ReadError::from))?)
    }

    /// The keys of continuation tokens.
    pub async fn page_keys(&self) -> Result<Vec<PageKey>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = kept::keys(reader.get()).await;
            reader.give_back(found.map_err(ReadError::from))
        })
    }

    /// Adds a key.
    pub async fn renew_page_keys(&self, key: PageKey, since: Micros) -> Result<(), CommitError> {
        let mut connection = self.readers.take().await?;
        let done = kept::renew(connection.get(), &key, since).await;
        Ok(connection.give_back(done.map_err(ReadError::from))?)
    }

    /// A query that is kept.
    pub async fn kept_query(&self, name: &str) -> Result<Option<KeptQuery>, ReadError> {
        again!(self, {
            let mut reader = self.readers.take().await?;
            let found = kept::query(reader.get(), name).await;
            reader.give_back(found.map_err(ReadError::from))
        })
    }

    /// Keeps a query.
    pub async fn keep_query(&self, query: KeptQuery, now: Micros) -> Result<(), CommitError> {
        let mut connection = self.readers.take().await?;
        let done = kept::keep(connection.get(), &query, now).await;
        Ok(connection.give_back(done.map_err(ReadError::from))?)
    }

    /// Takes no more writes, finishes those that wait, and lets go of the database.
    pub async fn close(&self) {
        lock(&self.jobs).take();
        let writer = lock(&self.writer).take();
        if let Some(writer) = writer
            && writer.await.is_err()
        {
            tracing::error!("the writer panicked");
        }
        self.readers.close().await;
    }
}

/// An answer in time.
async fn within<T>(effort: Effort, answer: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    match effort {
        Effort::Any => answer.await,
        Effort::Until(moment) => tokio::time::timeout_at(moment.into(), answer)
            .await
            .unwrap_or(Err(ReadError::TooMuch)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
