//! Topics of Kafka, read from where the spool says that it ended.
//!
//! The next offset of each partition is stored with the messages, in one transaction, so that nothing is lost and nothing
//! is there twice, whoever is killed; the broker keeps no place for us. Each partition is read in its order.

mod connect;
mod headers;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use iot_connector_settings::Kafka;
use jiff::Timestamp;
use rskafka::{
    client::{
        Client,
        error::{Error, ProtocolError},
        partition::{OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::RecordAndOffset,
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use tracing::warn;

use super::{Connection, Delivery, Source, SourceError, arriving::Arriving};
use crate::{
    ingest::context,
    spool::{NewMessage, Place, Position, Spool},
};
use connect::{connect, partitions, told};

/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a broker holds an answer back while there is nothing new.
const WAIT: Duration = Duration::from_secs(5);
/// Bytes of a partition that are asked for at once; a larger record comes alone.
const BYTES: i32 = 512 << 10;
/// Between two looks at a partition that ends with a mark of a transaction.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether partitions were added.
const LOOK: Duration = Duration::from_mins(1);

/// In place of an offset: the partition wasn't read yet.
const UNKNOWN: i64 = -1;

/// What a broker answered.
type Records = Vec<Delivery<Stored>>;

/// What the spool has of a partition when it has a record: all before this offset.
pub(super) struct Stored {
    progress: Arc<Progress>,
    next: i64,
}

/// How far a partition is.
struct Progress {
    /// The spool has all before this offset.
    stored: AtomicI64,
    /// The broker's next offset, when it was asked last.
    end: AtomicI64,
}

/// Topics to read.
pub(super) struct Topics {
    settings: Kafka,
    spool: Arc<Spool>,
}

impl Topics {
    pub fn new(settings: Kafka, spool: Arc<Spool>) -> Self {
        Self { settings, spool }
    }

    /// Where reading goes on, by the names of partitions.
    async fn offsets(&self) -> Result<HashMap<String, i64>, SourceError> {
        let spool = self.spool.clone();
        let read = spawn_blocking(move || spool.offsets(Self::KIND)).await;
        let read = read.map_err(|error| SourceError(error.to_string()))?;
        read.map_err(|error| SourceError(daemon::process::describe(&error)))
    }
}

/// What arrives of all partitions; dropping it ends the tasks that read them.
pub(super) struct Reading {
    arriving: Arriving<Records>,
    /// Of each partition.
    progress: Vec<Arc<Progress>>,
    _tasks: JoinSet<()>,
}

impl Source for Topics {
    const KIND: &'static str = "kafka";
    type Connection = Reading;

    async fn connect(&self) -> Result<Reading, SourceError> {
        let late = |_| SourceError("the broker doesn't answer".to_owned());
        let client = timeout(ANSWER, connect(&self.settings)).await.map_err(late)??;
        let topics = self.settings.topics.clone();
        let there = timeout(ANSWER, partitions(&client, &topics)).await.map_err(late)??;
        let offsets = self.offsets().await?;
        // A full queue makes the tasks wait: of each partition one answer is in memory.
        let (sender, arriving) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let mut all = Vec::with_capacity(there.len());
        for (topic, number) in &there {
            let opened = client.partition_client(topic, *number, UnknownTopicHandling::Error);
            let client = timeout(ANSWER, opened).await.map_err(late)?.map_err(told)?;
            let progress = Arc::new(Progress {
                stored: AtomicI64::new(UNKNOWN),
                end: AtomicI64::new(UNKNOWN),
            });
            all.push(progress.clone());
            let name = format!("{topic}/{number}");
            let partition = Partition {
                client,
                next: offsets.get(&name).copied(),
                name: name.into(),
                progress,
                fresh: false,
                device_key: self.settings.device_key,
            };
            tasks.spawn(partition.follow(sender.clone()));
        }
        tasks.spawn(watch(client, topics, there, sender));
        Ok(Reading {
            arriving: Arriving::new(arriving),
            progress: all,
            _tasks: tasks,
        })
    }
}

impl Connection for Reading {
    type Ack = Stored;

    async fn next(&mut self) -> Result<Vec<Delivery<Stored>>, SourceError> {
        self.arriving.next().await
    }

    /// Offsets between what the spool has and the end; marks of transactions and what was compacted away count as well.
    async fn lag(&mut self) -> Option<u64> {
        let of = |progress: &Arc<Progress>| {
            let (stored, end) = (&progress.stored, &progress.end);
            let (stored, end) = (stored.load(Ordering::Acquire), end.load(Ordering::Acquire));
            (stored != UNKNOWN && end != UNKNOWN).then(|| u64::try_from(end - stored).unwrap_or(0))
        };
        self.progress.iter().map(of).sum()
    }

    /// The spool has stored where reading goes on.
    async fn acknowledge(&mut self, acks: Vec<Stored>) -> Result<(), SourceError> {
        for Stored { progress, next } in acks {
            progress.stored.store(next, Ordering::Release);
        }
        Ok(())
    }

    async fn close(self) {}
}

/// Says so when the topics get other partitions: then all is connected anew.
async fn watch(
    client: Client,
    topics: Vec<String>,
    there: Vec<(String, i32)>,
    sender: mpsc::Sender<Result<Records, SourceError>>,
) {
    loop {
        sleep(LOOK).await;
        // Who can't be asked shows it to those who read, too.
        let Ok(Ok(now)) = timeout(ANSWER, partitions(&client, &topics)).await else {
            continue;
        };
        if now != there {
            let _ = sender
                .send(Err(SourceError("the topics have other partitions now".to_owned())))
                .await;
            return;
        }
    }
}

/// One partition and how far it is read.
struct Partition {
    client: PartitionClient,
    name: Arc<str>,
    /// The next offset; `None` before the first record.
    next: Option<i64>,
    progress: Arc<Progress>,
    /// Whether offsets began anew, so that what is stored of them says nothing.
    fresh: bool,
    device_key: bool,
}

impl Partition {
    async fn follow(mut self, sender: mpsc::Sender<Result<Records, SourceError>>) {
        loop {
            let read = self.read().await;
            let ends = read.is_err();
            let nothing = read.as_ref().is_ok_and(Vec::is_empty);
            if !nothing && !self.hand_over(read, &sender).await || ends {
                return;
            }
        }
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
        let late = |_| SourceError("the broker doesn't answer".to_owned());
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
                self.progress.stored.store(UNKNOWN, Ordering::Release);
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
            order: None,
            message: NewMessage {
                body: body.into(),
                context: context.into(),
            },
            ack: Stored {
                progress: self.progress.clone(),
                next: offset + 1,
            },
        })
    }
}
