//! Reading through a stream from some place to its end.

use async_nats::jetstream::{
    consumer::{
        DeliverPolicy,
        pull::{Ordered, OrderedConfig},
    },
    stream::Stream,
};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use crate::{source::nats::ANSWER, spool::SpoolError};

/// What is left of a stream, oldest first.
pub(super) struct Scan {
    /// Nothing where there is nothing to read.
    messages: Option<Ordered>,
}

/// A message of a stream.
pub(super) struct Found {
    pub seq: u64,
    pub payload: Bytes,
}

impl Scan {
    /// From a sequence on; with a subject, only messages with such a one.
    pub async fn from(stream: &Stream, first: u64, subject: Option<String>) -> Result<Self, SpoolError> {
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: first.max(1),
            },
            filter_subjects: subject.into_iter().collect(),
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        if consumer.cached_info().num_pending == 0 {
            return Ok(Self { messages: None });
        }
        let messages = consumer.messages().await.map_err(|error| failed(&error))?;
        Ok(Self {
            messages: Some(messages),
        })
    }

    /// The next message; none at the end.
    pub async fn next(&mut self) -> Result<Option<Found>, SpoolError> {
        let Some(messages) = &mut self.messages else {
            return Ok(None);
        };
        // What was the last one may be deleted meanwhile.
        let Ok(Some(message)) = timeout(ANSWER, messages.next()).await else {
            return Ok(None);
        };
        let message = message.map_err(|error| failed(&error))?;
        let (seq, pending) = {
            let info = message.info().map_err(|error| failed(&*error))?;
            (info.stream_sequence, info.pending)
        };
        if pending == 0 {
            self.messages = None;
        }
        let payload = message.message.payload;
        Ok(Some(Found { seq, payload }))
    }
}

/// What the server answered, or that it didn't.
pub(super) fn failed(error: &dyn std::fmt::Display) -> SpoolError {
    SpoolError::Shared(error.to_string())
}
