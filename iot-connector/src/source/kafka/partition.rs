//! One partition, read in its order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use iot_mapping::{Order, hash};
use jiff::Timestamp;
use rskafka::{
    client::{
        error::{Error, ProtocolError},
        partition::{OffsetAt, PartitionClient},
    },
    record::RecordAndOffset,
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{ANSWER, connect::told, headers, late};
use crate::{
    ingest::context,
    shared::Claim,
    source::{Delivery, SourceError},
    spool::{NewMessage, Place, Position},
};

/// How long a broker holds an answer back while there is nothing new.
const WAIT: Duration = Duration::from_secs(5);
/// Bytes of a partition that are asked for at once; a larger record comes alone.
const BYTES: i32 = 512 << 10;
/// Between two looks at a partition that ends with a mark of a transaction.
const PAUSE: Duration = Duration::from_millis(500);
/// Partitions whose messages have positions of their own.
const APART: u32 = 1024;

/// In place of an offset: the partition wasn't read yet.
const UNKNOWN: i64 = -1;
/// In place of an offset: another connector reads the partition.
const ELSEWHERE: i64 = -2;

/// What a broker answered.
pub(super) type Records = Vec<Delivery<Stored>>;

/// What the spool has of a partition when it has a record: all before this offset.
pub(in crate::source) struct Stored {
    pub progress: Arc<Progress>,
    pub next: i64,
    /// Where connectors share the partitions.
    pub claim: Option<Arc<Claim>>,
}

/// How far a partition is.
pub(in crate::source) struct Progress {
    /// The spool has all before this offset.
    stored: AtomicI64,
    /// The broker's next offset, when it was asked last.
    end: AtomicI64,
}

impl Progress {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: AtomicI64::new(UNKNOWN),
            end: AtomicI64::new(UNKNOWN),
        })
    }

    /// Another connector reads the partition, or none.
    pub fn leave(&self) {
        self.stored.store(ELSEWHERE, Ordering::Release);
    }

    /// The reading begins anew.
    pub fn begin(&self) {
        self.stored.store(UNKNOWN, Ordering::Release);
    }

    pub fn tell(&self, next: i64) {
        self.stored.store(next, Ordering::Release);
    }

    /// Offsets between what the spool has and the end; marks of transactions and what was compacted away count as well.
    /// `None` where that isn't known yet; what others read is theirs.
    pub fn lag(&self) -> Option<u64> {
        let (stored, end) = (self.stored.load(Ordering::Acquire), self.end.load(Ordering::Acquire));
        match (stored, end) {
            (ELSEWHERE, _) => Some(0),
            (UNKNOWN, _) | (_, UNKNOWN) => None,
            (stored, end) => Some(u64::try_from(end - stored).unwrap_or(0)),
        }
    }
}

/// One partition and how far it is read.
pub(super) struct Partition {
    pub client: PartitionClient,
    pub name: Arc<str>,
    /// The next offset; `None` before the first record.
    pub next: Option<i64>,
    pub progress: Arc<Progress>,
    /// Whether offsets began anew, so that what is stored of them says nothing.
    pub fresh: bool,
    pub device_key: bool,
    /// Where connectors share the partitions.
    pub claim: Option<Arc<Claim>>,
}

impl Partition {
    /// Reads until somebody else may; `false` where nothing more may be read on this connection.
    pub async fn follow(mut self, sender: &mpsc::Sender<Result<Records, SourceError>>) -> bool {
        while self.is_ours() {
            let read = self.read().await;
            let ends = read.is_err();
            let nothing = read.as_ref().is_ok_and(Vec::is_empty);
            if !nothing && !self.hand_over(read, sender).await || ends {
                return false;
            }
        }
        true
    }

    fn is_ours(&self) -> bool {
        self.claim.as_ref().is_none_or(|claim| claim.holds())
    }

    /// Waits for room, and looks now and then how much more there is meanwhile; `false` where nobody reads any more.
    async fn hand_over(
        &self,
        read: Result<Records, SourceError>,
        sender: &mpsc::Sender<Result<Records, SourceError>>,
    ) -> bool {
        let room = sender.reserve();
        tokio::pin!(room);
        loop {
            tokio::select! {
                permit = &mut room => {
                    let Ok(permit) = permit else { return false };
                    permit.send(read);
                    return true;
                }
                () = sleep(WAIT) => {
                    // Nothing else is asked on this connection now: a broker answers one after the other.
                    if let Ok(Ok(end)) = timeout(ANSWER, self.client.get_offset(OffsetAt::Latest)).await {
                        self.progress.end.store(end, Ordering::Release);
                    }
                }
            }
        }
    }

    /// The next records; none where there are none for a while.
    async fn read(&mut self) -> Result<Records, SourceError> {
        let next = match self.next {
            Some(next) => next,
            None => {
                let first = timeout(ANSWER, self.client.get_offset(OffsetAt::Earliest)).await;
                *self.next.insert(first.map_err(late)?.map_err(told)?)
            }
        };
        // Later ones are told by the acknowledgements.
        let _ = self
            .progress
            .stored
            .compare_exchange(UNKNOWN, next, Ordering::AcqRel, Ordering::Relaxed);
        let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
        let asked = self.client.fetch_records(next, 1..BYTES, wait);
        let records = match timeout(WAIT + ANSWER, asked).await.map_err(late)? {
            Ok((records, end)) => {
                self.progress.end.store(end, Ordering::Release);
                if records.is_empty() && end > next {
                    // What stands there are marks of transactions, which a broker hands out again without waiting.
                    sleep(PAUSE).await;
                }
                records
            }
            Err(Error::ServerError {
                protocol_error: ProtocolError::OffsetOutOfRange,
                ..
            }) => {
                warn!(
                    partition = &*self.name,
                    offset = next,
                    "the broker has no record of this offset: its retention ended or the topic was made anew; reading from its first record"
                );
                (self.next, self.fresh) = (None, true);
                self.progress.begin();
                return Ok(Vec::new());
            }
            Err(error) => return Err(told(error)),
        };
        Ok(records.into_iter().filter_map(|record| self.delivery(record)).collect())
    }

    /// A record as a message. One without a value (a tombstone) is none.
    fn delivery(&mut self, found: RecordAndOffset) -> Option<Delivery<Stored>> {
        let RecordAndOffset { record, offset } = found;
        self.next = Some(offset + 1);
        // Before `fresh` is taken: the first message has to carry it.
        let body = record.value?;
        let position = Position {
            place: Place::Offset {
                partition: self.name.clone(),
                offset,
            },
            redelivered: !std::mem::take(&mut self.fresh),
        };
        let written = Timestamp::from_millisecond(record.timestamp.timestamp_millis());
        let written = written.unwrap_or_else(|_| Timestamp::now());
        let (properties, mut system) = headers::split(&record.headers);
        system.insert("topic".to_owned(), Value::from(self.client.topic()));
        // As text, like all that IoT Hub puts here.
        system.insert("partition".to_owned(), Value::from(self.client.partition().to_string()));
        system.insert("offset".to_owned(), Value::from(offset.to_string()));
        system.insert("timestamp".to_owned(), Value::from(written.to_string()));
        let key = record.key.and_then(|key| String::from_utf8(key).ok());
        if let Some(key) = &key {
            system.insert("key".to_owned(), Value::from(&**key));
        }
        let device = key.as_deref().filter(|key| self.device_key && !key.is_empty());
        let context = context::of(properties, system, device, written);
        Some(Delivery {
            position: Some(position),
            // Whoever reads the record once more gives it the same place among readings.
            order: self.claim.as_ref().map(|_| self.order(offset, written)),
            message: NewMessage {
                body: body.into(),
                context: context.into(),
            },
            ack: Stored {
                progress: self.progress.clone(),
                next: offset + 1,
                claim: self.claim.clone(),
            },
        })
    }

    /// Offsets repeat among partitions, and a message is known by its position.
    fn order(&self, offset: i64, written: Timestamp) -> Order {
        let number = u32::try_from(self.client.partition()).unwrap_or_default();
        let apart = hash(self.client.topic(), APART).wrapping_add(number) % APART;
        Order {
            received: written.as_microsecond(),
            position: offset.saturating_mul(i64::from(APART)).saturating_add(i64::from(apart)),
        }
    }
}
