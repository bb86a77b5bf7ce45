//! Opening: lock, pragmas, migrations, catalogue, writer.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::mpsc;

use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::error::OpenError;
use crate::lock::{self, Lock};
use crate::reader::Reader;
use crate::schema;
use crate::store::StoreOptions;
use crate::write::{Job, Writer};

/// Sets that may wait for the writer; more are refused, so that memory and latency stay bounded.
const QUEUE: usize = 1024;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 128;

/// The parts of a store.
pub struct Opened {
    pub lock: Lock,
    pub readers: Vec<Reader>,
    pub catalogue: Arc<Catalogue>,
    pub jobs: mpsc::Sender<Job>,
    pub writer: JoinHandle<()>,
}

/// Opens everything.
pub fn open(options: &StoreOptions) -> Result<Opened, OpenError> {
    if let Some(folder) = options.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |source| OpenError::File {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let lock = lock::take(&options.path)?;
    let mut connection = connect(options)?;
    // FULL: a commit is on disk when it returns. The writer folds the log into the file itself, between batches.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384",
    )?;
    schema::migrate(&mut connection, &options.version.to_string())?;
    let catalogue = Arc::new(Catalogue::load(&mut connection, options.version)?);
    let (last, next_pk) = connection.query_row("SELECT clock, next_pk FROM service", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let readers = (0..=options.readers.max(1)).map(|_| {
        let reader = connect(options)?;
        reader.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096")?;
        Ok(Reader::new(reader)?)
    });
    let readers = readers.collect::<Result<Vec<_>, OpenError>>()?;
    let (jobs, waiting) = mpsc::channel(QUEUE);
    let writer = Writer::new(connection, Arc::clone(&catalogue), Clock::new(last), next_pk)?;
    let path = options.path.clone();
    let writer = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(waiting))
        .map_err(|source| OpenError::File { path, source })?;
    Ok(Opened {
        lock,
        readers,
        catalogue,
        jobs,
        writer,
    })
}

fn connect(options: &StoreOptions) -> Result<Connection, OpenError> {
    let connection = Connection::open(&options.path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // no second look at the plan when a statement runs with other values
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}
