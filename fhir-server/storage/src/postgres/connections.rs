//! Connections: few, bounded, each used by one at a time. One whose answer wasn't read to its end, because it failed or
//! nobody waits any more, isn't used again; where the server is gone, none of the old ones is.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::log::LevelFilter;

use super::schema;
use crate::error::{OpenError, ReadError};

/// How long a connection may take to be made, or to be free.
const PATIENCE: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 256;

/// What every connection is told. Joins stay as they are written, loops are nested, and a statement is planned once: the
/// search chooses what leads by counting, and no statistics can change that. An entry of an index is dear, so that the index
/// that reads the fewest of them wins, even when a table is nearly empty or was never counted.
const PLANS: [(&str, &str); 12] = [
    ("join_collapse_limit", "1"),
    ("from_collapse_limit", "1"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("enable_memoize", "off"),
    ("cpu_index_tuple_cost", "1"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// How a database is reached.
#[derive(Debug, Clone)]
pub struct Address(PgConnectOptions);

impl Address {
    /// Reads a URL; `statement` is the longest time that a statement may take.
    pub fn of(url: &str, statement: Duration) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Url(error.to_string()))?;
        let own = [
            ("statement_timeout", statement.as_millis().to_string()),
            // writes of an older one are refused
            ("fhir.schema", schema::CURRENT.to_string()),
        ];
        Ok(Self(
            options
                .application_name("fhir-server")
                .statement_cache_capacity(STATEMENTS)
                .options(PLANS)
                .options(own)
                .log_statements(LevelFilter::Off)
                .log_slow_statements(LevelFilter::Off, Duration::MAX),
        ))
    }

    /// A new connection.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        tokio::time::timeout(PATIENCE, PgConnection::connect_with(&self.0))
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    }
}

/// How many resources there are, about. A plan that was made when tables were nearly empty may be a bad one later: a
/// connection makes its plans again each time that there are twice as many.
#[derive(Debug, Clone, Default)]
pub struct Size(Arc<AtomicI64>);

/// From so many on no plan changes any more.
const LARGE: i64 = 1_000_000;
/// So few make no difference.
const SMALL: i64 = 500;

impl Size {
    /// The number of the next new resource.
    pub fn at_least(&self, next_pk: i64) {
        self.0.fetch_max(next_pk, Ordering::Relaxed);
    }

    /// Forgets the plans that a connection made when there were so many, if there are many more now.
    pub async fn plan_again(&self, planned: &mut i64, connection: &mut PgConnection) -> sqlx::Result<()> {
        let now = self.0.load(Ordering::Relaxed);
        if *planned < LARGE && now > planned.saturating_mul(2) + SMALL {
            sqlx::raw_sql("DISCARD PLANS").execute(connection).await?;
            *planned = now;
        }
        Ok(())
    }
}

/// A connection, and how many resources there were when it made its plans.
#[derive(Debug)]
struct Planned {
    connection: PgConnection,
    planned: i64,
}

/// At most so many connections to one database.
#[derive(Debug)]
pub struct Connections {
    address: Address,
    size: Size,
    idle: Mutex<Vec<Planned>>,
    places: Semaphore,
}

impl Connections {
    pub fn new(address: Address, size: Size, most: usize) -> Self {
        Self {
            address,
            size,
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(most.max(1)),
        }
    }

    /// A connection that nobody else has.
    pub async fn take(&self) -> Result<Taken<'_>, ReadError> {
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let place = place.map_err(|_| ReadError::Busy)?;
        let place = place.map_err(|_| ReadError::Lost("the store is closing".to_owned()))?;
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Planned {
                connection: self.address.connect().await?,
                planned: self.size.0.load(Ordering::Relaxed),
            },
        };
        let Planned {
            connection: of,
            planned,
        } = &mut connection;
        self.size.plan_again(planned, of).await?;
        Ok(Taken {
            connection,
            of: self,
            _place: place,
        })
    }

    /// Ends them; nobody gets one any more.
    pub async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // whoever closes doesn't mind that it is closed already
            let _ = connection.connection.close().await;
        }
    }

    /// Forgets all that nobody uses: the server that they led to is gone.
    pub fn forget(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Planned>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
pub struct Taken<'a> {
    connection: Planned,
    of: &'a Connections,
    _place: SemaphorePermit<'a>,
}

impl Taken<'_> {
    /// For a statement.
    pub fn get(&mut self) -> &mut PgConnection {
        &mut self.connection.connection
    }

    /// The answer has been read: the next one may use it.
    pub fn give_back<T>(self, answer: Result<T, ReadError>) -> Result<T, ReadError> {
        match &answer {
            Ok(_) | Err(ReadError::Damaged(_) | ReadError::Cursor) => self.of.idle().push(self.connection),
            Err(ReadError::Lost(_)) => self.of.forget(),
            Err(ReadError::Busy | ReadError::TooMuch | ReadError::Failed(_)) => {}
        }
        answer
    }
}
