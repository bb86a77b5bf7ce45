//! The spool in streams of NATS JetStream: several connectors share the work by buckets of devices.
//!
//! What comes in is normalised by whichever member received it, and put into the stream of entries, a subject for each of
//! 256 buckets; then it is acknowledged. Each bucket is in the hands of one member ([`lease`]), which writes its
//! Observations, buries its dead letters, and stores how far it is together with the account ([`records`]). When a member
//! goes away another one takes its buckets over where they stand.

mod entry;
mod gauges;
mod hand;
mod holding;
mod lease;
mod letters;
mod partitions;
mod publish;
mod records;
mod scan;
mod session;
mod streams;
mod traces;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use iot_connector_settings::{Nats, NatsServers, Settings, SharedSpool, Sharing, Trace};
use iot_mapping::Order;
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use crate::{
    backoff::Backoff,
    mappings::Pair,
    metrics::ConnectorMetrics,
    spool::{Figures, Finished, Micros, SpoolError},
    store::Item,
};
use hand::Hand;
use lease::Owner;
use streams::Streams;

pub use partitions::Claim;

/// Why a session ended. The text holds no secret.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Lost(String);

/// The longest wait after a broken session.
const LONGEST: Duration = Duration::from_secs(5);
/// How long giving everything back may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A member's side of the shared spool.
pub struct Shared {
    settings: SharedSpool,
    /// Where the streams are.
    servers: NatsServers,
    /// The source, where it is a stream beside them.
    source: Option<Nats>,
    max_bytes: u64,
    me: Owner,
    mappings: watch::Receiver<Option<Arc<Pair>>>,
    metrics: ConnectorMetrics,
    hand: Hand,
    figures: Arc<Figures>,
    /// While there is a session.
    streams: watch::Sender<Option<Arc<Streams>>>,
    /// Why there is none.
    trouble: watch::Sender<Option<String>>,
    trace: Trace,
    /// Entries that are to be ended.
    finish: mpsc::UnboundedSender<Finished>,
    finished: Mutex<mpsc::UnboundedReceiver<Finished>>,
    /// How many those are.
    ending: AtomicUsize,
    last_position: AtomicI64,
    /// 0: there is none.
    oldest_letter: AtomicI64,
    closing: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Shared {
    /// A member that isn't connected yet; `None` where the settings name no shared spool.
    pub fn new(
        settings: &Settings,
        mappings: watch::Receiver<Option<Arc<Pair>>>,
        metrics: ConnectorMetrics,
    ) -> Option<Arc<Self>> {
        let shared = settings.spool.shared.as_ref()?;
        let (finish, finished) = mpsc::unbounded_channel();
        Some(Arc::new(Self {
            me: Owner {
                member: shared.member.clone(),
                instance: format!("{:016x}", RandomState::new().hash_one(&shared.member)),
            },
            settings: shared.clone(),
            servers: shared.nats.clone().or_else(|| Some(settings.source.nats.clone()?.at))?,
            source: settings.source.nats.clone(),
            max_bytes: settings.spool.max_bytes,
            mappings,
            metrics,
            hand: Hand::default(),
            figures: Arc::default(),
            streams: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            finish,
            finished: Mutex::new(finished),
            trace: settings.trace.clone(),
            ending: AtomicUsize::new(0),
            last_position: AtomicI64::new(0),
            oldest_letter: AtomicI64::new(0),
            closing: watch::Sender::new(false),
            closed: watch::Sender::new(false),
        }))
    }

    /// Works until it was closed.
    pub async fn run(self: Arc<Self>) -> Result<(), Lost> {
        let mut backoff = Backoff::up_to(LONGEST);
        let mut closing = self.closing.subscribe();
        while !self.closing() {
            let begin = Instant::now();
            let Err(lost) = Box::pin(session::run(&self)).await else {
                break;
            };
            let wait = backoff.after(begin.elapsed());
            warn!("the shared spool can't be used; trying again: {lost}");
            self.trouble.send_replace(Some(lost.0));
            self.metrics.source_error("shared_spool");
            tokio::select! {
                () = sleep(wait) => {}
                _ = closing.changed() => {}
            }
        }
        self.closed.send_replace(true);
        Ok(())
    }

    /// Gives everything back and ends the session.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut closed = self.closed.subscribe();
        if timeout(GOODBYE, closed.wait_for(|closed| *closed)).await.is_err() {
            warn!("the buckets can't be given back: others take them over in a few seconds");
        }
    }

    fn closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Changes when there is more to read.
    pub fn appended(&self) -> watch::Receiver<i64> {
        self.hand.arrived()
    }

    /// Entries for the pipeline, at most `limit`.
    pub fn read(&self, limit: u32) -> Vec<Item> {
        self.hand.read(limit)
    }

    /// Whether readings of a device may be written now.
    pub fn may_write(&self, device: &str) -> bool {
        self.hand.may_write(device)
    }

    /// Entries are done with.
    pub fn finish(&self, finished: Vec<Finished>) {
        self.ending.fetch_add(finished.len(), Ordering::AcqRel);
        for message in finished {
            // The receiver lives as long as this.
            let _ = self.finish.send(message);
        }
    }

    /// What the streams hold.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Our part of the work.
    pub fn sharing(&self) -> Sharing {
        Sharing {
            member: self.me.member.clone(),
            buckets: u32::try_from(self.hand.buckets().len()).unwrap_or(u32::MAX),
        }
    }

    /// When the oldest entry in hand was put into the stream.
    pub fn watermark(&self) -> Option<Micros> {
        self.hand.oldest()
    }

    /// When the oldest dead letter died.
    pub fn oldest_dead_letter(&self) -> Option<Micros> {
        Some(self.oldest_letter.load(Ordering::Acquire)).filter(|micros| *micros != 0)
    }

    fn tell_oldest_letter(&self, died: Option<Micros>) {
        self.oldest_letter.store(died.unwrap_or(0), Ordering::Release);
    }

    /// Why no message can be taken at present.
    pub fn not_ready(&self) -> Option<SpoolError> {
        if self.streams.borrow().is_none() {
            return Some(self.not_connected());
        }
        self.mappings.borrow().is_none().then_some(SpoolError::NoMappings)
    }

    fn streams(&self) -> Result<Arc<Streams>, SpoolError> {
        let streams = self.streams.borrow().clone();
        streams.ok_or_else(|| self.not_connected())
    }

    fn not_connected(&self) -> SpoolError {
        let trouble = self.trouble.borrow().clone();
        SpoolError::Shared(trouble.unwrap_or_else(|| "its NATS server isn't connected yet".to_owned()))
    }

    fn connected(&self, streams: Option<Arc<Streams>>) {
        self.streams.send_replace(streams);
    }

    /// The orders of so many messages that come in now: each greater than those before, and their positions in a row.
    fn orders(&self, received: Micros, count: usize) -> impl Iterator<Item = Order> + use<> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let first = |last: i64| received.max(last + 1);
        let next = |last: i64| Some(first(last).saturating_add(count - 1));
        let last = self
            .last_position
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let first = first(last.unwrap_or_else(|last| last));
        (first..first.saturating_add(count)).map(move |position| Order { received, position })
    }
}
