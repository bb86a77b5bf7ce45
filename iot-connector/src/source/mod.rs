//! Sources beside HTTP: messages are read, put on disk, and only then acknowledged.
//!
//! A source that is read no further keeps its messages, so a full queue stops reading and nothing is dropped. What a
//! source delivers again after a broken connection or a crash is recognised by its position ([`crate::spool::Position`]).

mod arriving;
mod kafka;
mod mqtt;
pub mod nats;
mod secrets;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use iot_connector_settings::{Settings, SettingsError, SourceState};
use iot_mapping::Order;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use crate::{
    backoff::Backoff,
    http::{Full, Ingest},
    spool::{Appended, NewMessage, Position},
    store::Arrival,
};
use daemon::{Shutdown, Supervisor};

/// A message that a source delivered, and what acknowledges it.
struct Delivery<A> {
    /// Where it stands; `None` where the source can't deliver it twice.
    position: Option<Position>,
    /// Its order among readings, where the source knows it; otherwise it is that of its acceptance.
    order: Option<Order>,
    message: NewMessage,
    ack: A,
}

/// Why a source can't be read. The text holds no secret.
#[derive(Debug)]
pub struct SourceError(pub String);

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Something that can be connected to and read.
trait Source: Send + Sync + 'static {
    /// Its name in metrics, status and the spool.
    const KIND: &'static str;
    type Connection: Connection;

    /// Connects once; returns when messages can arrive.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, SourceError>> + Send;
}

/// One connection, until it breaks. Dropping it acknowledges nothing.
trait Connection: Send {
    type Ack: Send;

    /// The next messages, at least one. Dropping the future loses none.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Delivery<Self::Ack>>, SourceError>> + Send;

    /// Messages that the source has and that weren't acknowledged; `None` where it doesn't tell.
    fn lag(&mut self) -> impl Future<Output = Option<u64>> + Send;

    /// Tells the source that these are on disk.
    fn acknowledge(&mut self, acks: Vec<Self::Ack>) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Ends it in order: what was acknowledged arrives there.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Starts to read the source of the settings, if there is one.
pub fn start(settings: &Settings, ingest: &Arc<Ingest>, supervisor: &mut Supervisor) -> Result<(), SettingsError> {
    if let Some(mqtt) = &settings.source.mqtt {
        follow(mqtt::Broker::new(mqtt.clone())?, ingest, supervisor);
    }
    if let Some(kafka) = &settings.source.kafka {
        follow(
            kafka::Topics::new(kafka.clone(), ingest.store.clone()),
            ingest,
            supervisor,
        );
    }
    if let Some(nats) = &settings.source.nats {
        follow(nats::Stream::new(nats.clone()), ingest, supervisor);
    }
    Ok(())
}

fn follow(source: impl Source, ingest: &Arc<Ingest>, supervisor: &mut Supervisor) {
    let reader = Reader::new(source, ingest.clone(), supervisor.shutdown());
    supervisor.critical("source", reader.run());
}

/// The longest wait after a broken connection.
const LONGEST: Duration = Duration::from_secs(30);
/// How often it is looked whether a full queue has room again.
const LOOK: Duration = Duration::from_millis(500);
/// How often the source is asked what it has.
const ASK: Duration = Duration::from_secs(5);

struct Reader<S> {
    source: S,
    name: Arc<str>,
    ingest: Arc<Ingest>,
    shutdown: Shutdown,
}

impl<S: Source> Reader<S> {
    fn new(source: S, ingest: Arc<Ingest>, shutdown: Shutdown) -> Self {
        Self {
            source,
            name: S::KIND.into(),
            ingest,
            shutdown,
        }
    }

    async fn run(self) -> Result<(), SourceError> {
        let mut backoff = Backoff::up_to(LONGEST);
        self.tell(SourceState::Connecting, None);
        while !self.shutdown.is_requested() {
            let begin = Instant::now();
            let error = match self.connect_and_read().await {
                Ok(()) => break,
                Err(error) => error,
            };
            let wait = backoff.after(begin.elapsed());
            warn!(source = S::KIND, %error, "the source can't be read; trying again");
            self.ingest.metrics.source_error(S::KIND);
            self.tell(SourceState::Connecting, Some(error.0));
            tokio::select! {
                () = sleep(wait) => {}
                () = self.shutdown.requested() => {}
            }
        }
        Ok(())
    }

    /// Returns without an error when the shutdown is asked for.
    async fn connect_and_read(&self) -> Result<(), SourceError> {
        let mut connection = tokio::select! {
            connection = self.source.connect() => connection?,
            () = self.shutdown.requested() => return Ok(()),
        };
        info!(source = S::KIND, "the source is connected");
        self.tell(SourceState::Connected, None);
        let mut asks = interval(ASK);
        asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waits = false;
        loop {
            let deliveries = tokio::select! {
                () = self.shutdown.requested() => {
                    connection.close().await;
                    return Ok(());
                }
                _ = asks.tick() => {
                    if let Ok(Some(lag)) = timeout(ASK, connection.lag()).await {
                        self.ingest.metrics.source_lag(S::KIND, lag);
                    }
                    continue;
                }
                deliveries = self.next(&mut connection, &mut waits) => deliveries?,
            };
            let acks = self.store(deliveries).await?;
            connection.acknowledge(acks).await?;
        }
    }

    /// The next messages, once there is room for them; `waits` says whether there was none.
    async fn next(
        &self,
        connection: &mut S::Connection,
        waits: &mut bool,
    ) -> Result<Vec<Delivery<<S::Connection as Connection>::Ack>>, SourceError> {
        while let Some(full) = self.ingest.full() {
            let state = match full {
                Full::NotReady(_) => SourceState::Connecting,
                Full::Queue(_) | Full::DeadLetters(_) | Full::Mappings(_) => SourceState::Waiting,
            };
            self.tell(state, Some(full.reason()));
            *waits = true;
            sleep(LOOK).await;
        }
        if std::mem::take(waits) {
            self.tell(SourceState::Connected, None);
        }
        connection.next().await
    }

    /// Puts messages on disk; gives what may be acknowledged then.
    async fn store<A>(&self, deliveries: Vec<Delivery<A>>) -> Result<Vec<A>, SourceError> {
        let count = deliveries.len() as u64;
        let mut acks = Vec::with_capacity(deliveries.len());
        let mut messages = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            acks.push(delivery.ack);
            messages.push(Arrival {
                position: delivery.position,
                order: delivery.order,
                message: delivery.message,
            });
        }
        let now = Timestamp::now().as_microsecond();
        let appended = self.ingest.store.append_of(self.name.clone(), messages, now).await;
        let repeated = match appended {
            Ok(Appended::Stored { repeated, .. } | Appended::Before { count: repeated, .. }) => repeated,
            Ok(Appended::OtherRequest) => 0,
            Err(error) => return Err(SourceError(daemon::process::describe(&error))),
        };
        self.ingest.metrics.repeated(S::KIND, repeated);
        let fresh = count - repeated;
        self.ingest.metrics.device_event.inc_by(fresh);
        self.ingest
            .report
            .accepted(usize::try_from(fresh).unwrap_or(usize::MAX));
        Ok(acks)
    }

    fn tell(&self, state: SourceState, message: Option<String>) {
        let connected = state != SourceState::Connecting;
        self.ingest.metrics.source_connected(S::KIND, connected);
        self.ingest.report.source(S::KIND, state, message);
    }
}
