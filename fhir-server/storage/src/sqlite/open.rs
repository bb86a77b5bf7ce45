//! Opening: lock, pragmas, migrations, catalogue, writer.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use fhir_definitions::FhirVersion;
use fhir_search::near::Place;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::lock::{self, Lock};
use super::reader::Reader;
use super::write::{Job, Writer};
use super::{catalogue, counted, definitions, jobs, owned, schema};
use crate::catalogue::Catalogue;
use crate::error::OpenError;

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
pub fn open(path: &Path, version: FhirVersion, readers: usize) -> Result<Opened, OpenError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |source| OpenError::File {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let lock = lock::take(path)?;
    let mut connection = connect(path)?;
    schema::verify(&connection, path)?;
    // FULL: a commit is on disk when it returns. The writer folds the log into the file itself, between batches.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384",
    )?;
    schema::migrate(&mut connection, &version.to_string())?;
    let catalogue = Arc::new(catalogue::load(&mut connection, version)?);
    owned::settle(&mut connection, &catalogue)?;
    jobs::release(&connection)?;
    let generation = definitions::generation(&connection)?;
    let (last, next_pk) = connection.query_row("SELECT clock, next_pk FROM service", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let readers = (0..=readers.max(1)).map(|_| {
        let reader = connect(path)?;
        reader.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096")?;
        Ok(Reader::new(reader)?)
    });
    let readers = readers.collect::<Result<Vec<_>, OpenError>>()?;
    let (sender, waiting) = mpsc::channel(QUEUE);
    let writer = Writer::new(
        connection,
        Arc::clone(&catalogue),
        Clock::new(last),
        next_pk,
        generation,
    )?;
    let path = path.to_owned();
    let writer = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.run(waiting))
        .map_err(|source| OpenError::File { path, source })?;
    Ok(Opened {
        lock,
        readers,
        catalogue,
        jobs: sender,
        writer,
    })
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    counted::follow(&mut connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // no second look at the plan when a statement runs with other values
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("distance", 4, pure, |context| {
        let degrees = |at| context.get::<f64>(at);
        let place = |latitude, longitude| Place { latitude, longitude };
        Ok(place(degrees(0)?, degrees(1)?).distance(place(degrees(2)?, degrees(3)?)))
    })?;
    Ok(connection)
}
