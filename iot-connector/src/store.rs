//! Where messages are from their acknowledgement to their end: a file of this process, or streams that several share.

use std::sync::Arc;

use iot_connector_settings::Sharing;
use iot_mapping::{Measurement, Order};
use tokio::sync::watch;

use crate::{
    shared::Shared,
    spool::{
        Account, Appended, DeadLetter, DeadLetterFilter, Fault, Figures, Finished, Micros, NewMessage, Position,
        RequestKey, Spool, SpoolError, Trace,
    },
};

/// The queue and the dead letters.
#[derive(Clone)]
pub enum Store {
    /// One process works on a file.
    File(Arc<Spool>),
    /// Several processes share streams.
    Shared(Arc<Shared>),
}

/// A message, or a part of one, to work on.
#[derive(Debug)]
pub struct Item {
    /// Its place in the queue.
    pub seq: i64,
    /// When it was put into the queue, the last time.
    pub queued: Micros,
    /// Its order among readings.
    pub order: Order,
    /// Whether it was a dead letter before.
    pub replay: bool,
    /// What it is.
    pub content: Content,
}

/// What an item is.
#[derive(Debug)]
pub enum Content {
    /// A message as it came.
    Message {
        /// The device's bytes.
        body: Vec<u8>,
        /// JSON text of an object with `Properties` and `SystemProperties`.
        context: String,
    },
    /// Measurements that were made of a message before.
    Part {
        /// What the message counts in this part.
        account: Account,
        /// What could not be made of it.
        faults: Vec<Fault>,
        /// What was made of it.
        measurements: Vec<Measurement>,
    },
}

/// A message that a source delivered.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Where it stands; `None` where the source can't deliver it twice.
    pub position: Option<Position>,
    /// Its order among readings, where the source knows it.
    pub order: Option<Order>,
    /// The message.
    pub message: NewMessage,
}

impl Store {
    /// Changes when there may be more to read.
    pub fn appended(&self) -> watch::Receiver<i64> {
        match self {
            Self::File(spool) => spool.appended(),
            Self::Shared(shared) => shared.appended(),
        }
    }

    /// What waits after a place, at most `limit`, oldest first.
    pub async fn read(&self, after: i64, limit: u32) -> Result<Vec<Item>, SpoolError> {
        match self {
            Self::File(spool) => {
                let spool = spool.clone();
                let messages = blocking(move || spool.read_after(after, limit)).await?;
                Ok(messages.into_iter().map(Item::from).collect())
            }
            Self::Shared(shared) => Ok(shared.read(limit)),
        }
    }

    /// Whether readings of a device may be written by this process now.
    pub fn may_write(&self, device: &str) -> bool {
        match self {
            Self::File(_) => true,
            Self::Shared(shared) => shared.may_write(device),
        }
    }

    /// Takes finished messages out of the queue. Returns when that is handed over; if writing fails it is repeated.
    pub async fn finish(&self, finished: Vec<Finished>) -> Result<(), SpoolError> {
        match self {
            Self::File(spool) => spool.finish(finished).await,
            Self::Shared(shared) => {
                shared.finish(finished);
                Ok(())
            }
        }
    }

    /// Everything handed over so far is written when this returns; nothing more is worked on.
    pub async fn close(&self) {
        match self {
            Self::File(spool) => {
                // What can't be written is worked on again.
                let _ = spool.flush().await;
            }
            Self::Shared(shared) => shared.close().await,
        }
    }

    /// Puts messages into the queue; when this returns they are kept for good.
    pub async fn append(&self, messages: Vec<NewMessage>, received: Micros) -> Result<Appended, SpoolError> {
        match self {
            Self::File(spool) => spool.append(messages, received).await,
            Self::Shared(shared) => shared.append(messages, received).await,
        }
    }

    /// Puts the messages of a request into the queue, unless the request was taken in before.
    pub async fn append_once(
        &self,
        key: RequestKey,
        messages: Vec<NewMessage>,
        received: Micros,
    ) -> Result<Appended, SpoolError> {
        match self {
            Self::File(spool) => spool.append_once(key, messages, received).await,
            Self::Shared(shared) => shared.append_once(key, messages, received).await,
        }
    }

    /// Puts messages of a source into the queue, but for those that were taken in before. When this returns, all of them
    /// may be acknowledged.
    pub async fn append_of(
        &self,
        source: Arc<str>,
        arrivals: Vec<Arrival>,
        received: Micros,
    ) -> Result<Appended, SpoolError> {
        match self {
            Self::File(spool) => {
                let messages = arrivals.into_iter().map(|arrival| (arrival.position, arrival.message));
                spool.append_of(source, messages.collect(), received).await
            }
            Self::Shared(shared) => shared.append_of(arrivals, received).await,
        }
    }

    /// What it holds.
    pub fn figures(&self) -> &Arc<Figures> {
        match self {
            Self::File(spool) => spool.figures(),
            Self::Shared(shared) => shared.figures(),
        }
    }

    /// When the oldest unfinished message was put into the queue. Blocks on a file.
    pub fn watermark(&self) -> Result<Option<Micros>, SpoolError> {
        match self {
            Self::File(spool) => spool.watermark(),
            Self::Shared(shared) => Ok(shared.watermark()),
        }
    }

    /// When the oldest dead letter died. Blocks on a file.
    pub fn oldest_dead_letter(&self) -> Result<Option<Micros>, SpoolError> {
        match self {
            Self::File(spool) => spool.oldest_dead_letter(),
            Self::Shared(shared) => Ok(shared.oldest_dead_letter()),
        }
    }

    /// Dead letters after an id, oldest first, without their payloads.
    pub async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, SpoolError> {
        match self {
            Self::File(spool) => {
                let spool = spool.clone();
                blocking(move || spool.dead_letters(&filter, after, limit)).await
            }
            Self::Shared(shared) => Box::pin(shared.dead_letters(&filter, after, limit)).await,
        }
    }

    /// One dead letter with its payload.
    pub async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, SpoolError> {
        match self {
            Self::File(spool) => {
                let spool = spool.clone();
                blocking(move || spool.dead_letter(id)).await
            }
            Self::Shared(shared) => shared.dead_letter(id).await,
        }
    }

    /// Puts dead letters back into the queue; gives how many there were.
    pub async fn replay(&self, filter: DeadLetterFilter, queued: Micros) -> Result<u64, SpoolError> {
        match self {
            Self::File(spool) => spool.replay(filter, queued).await,
            Self::Shared(shared) => Box::pin(shared.replay(&filter)).await,
        }
    }

    /// Deletes dead letters; gives how many there were.
    pub async fn discard(&self, filter: DeadLetterFilter) -> Result<u64, SpoolError> {
        match self {
            Self::File(spool) => spool.discard(filter).await,
            Self::Shared(shared) => Box::pin(shared.discard(&filter)).await,
        }
    }

    /// The part of this process where several share the work.
    pub fn sharing(&self) -> Option<Sharing> {
        match self {
            Self::File(_) => None,
            Self::Shared(shared) => Some(shared.sharing()),
        }
    }

    /// Why no message can be taken at present.
    pub fn not_ready(&self) -> Option<SpoolError> {
        match self {
            Self::File(_) => None,
            Self::Shared(shared) => shared.not_ready(),
        }
    }

    /// What is known of a message.
    pub async fn trace(&self, id: i64) -> Result<Option<Trace>, SpoolError> {
        match self {
            Self::File(spool) => {
                let spool = spool.clone();
                blocking(move || spool.trace(id)).await
            }
            Self::Shared(shared) => Box::pin(shared.trace(id)).await,
        }
    }

    /// The latest messages that are done with, newest first, without payloads and dead letters.
    pub async fn latest_traces(&self, limit: u32) -> Result<Vec<Trace>, SpoolError> {
        match self {
            Self::File(spool) => {
                let spool = spool.clone();
                blocking(move || spool.latest_traces(limit)).await
            }
            Self::Shared(shared) => Box::pin(shared.latest_traces(limit)).await,
        }
    }
}

impl From<crate::spool::Message> for Item {
    fn from(message: crate::spool::Message) -> Self {
        Self {
            seq: message.seq,
            queued: message.queued,
            order: Order {
                received: message.received,
                position: message.position,
            },
            replay: message.position != message.seq,
            content: Content::Message {
                body: message.body,
                context: message.context,
            },
        }
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or(Err(SpoolError::Closed))
}
