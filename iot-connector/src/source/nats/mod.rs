//! A stream of NATS JetStream, read through a durable consumer.
//!
//! A message is acknowledged when it is on disk. What wasn't acknowledged is delivered again; stream, sequence and time tell
//! that we have it. The consumer is ours alone: it hands each message to one reader.

mod server;

use std::time::Duration;

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self, AckKind, Message,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::GetStreamErrorKind,
    },
};
use futures::{FutureExt, StreamExt};
use iot_connector_settings::Nats;
use iot_mapping::Order;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::timeout;

pub use server::{ANSWER, Server};

use super::{Connection, Delivery, Source, SourceError, arriving::BATCH};
use crate::{
    ingest::context,
    spool::{NewMessage, Place, Position},
};

/// How long the last acknowledgements may take at a shutdown.
const GOODBYE: Duration = Duration::from_secs(2);
/// After so long without an acknowledgement the server delivers a message again: what a killed connector had in its hands
/// waits so long, and what is on its way to a slow disk comes twice.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// A request for messages stands so long; the server shows itself in half of it.
const EXPIRES: Duration = Duration::from_secs(20);

/// A stream to read.
pub(super) struct Stream {
    settings: Nats,
}

impl Stream {
    pub fn new(settings: Nats) -> Self {
        Self { settings }
    }

    /// The consumer, made or brought up to date where that is needed.
    async fn consumer(&self, client: Client) -> Result<PullConsumer, SourceError> {
        let settings = &self.settings;
        let name = &settings.stream;
        let stream = jetstream::new(client).get_stream(name).await.map_err(|error| {
            if let GetStreamErrorKind::JetStream(reason) = error.kind()
                && reason.code() == 404
            {
                return SourceError(format!(
                    "there is no stream `{name}`: create it, or correct `source.nats.stream`"
                ));
            }
            SourceError(format!("the stream `{name}` can't be read: {error}"))
        })?;
        let wanted = self.wanted();
        if let Ok(found) = stream.get_consumer::<pull::Config>(&settings.consumer).await {
            let config = &found.cached_info().config;
            let mut subjects = config.filter_subjects.clone();
            subjects.extend(Some(config.filter_subject.clone()).filter(|subject| !subject.is_empty()));
            // Whoever set it up for us may have reasons of their own for the rest.
            if config.ack_policy == AckPolicy::Explicit && subjects == settings.subjects {
                return Ok(found);
            }
        }
        let wrong = |error| SourceError(format!("the consumer `{}` can't be made: {error}", settings.consumer));
        stream.create_consumer(wanted).await.map_err(wrong)
    }

    fn wanted(&self) -> pull::Config {
        pull::Config {
            durable_name: Some(self.settings.consumer.clone()),
            description: Some("reads device messages for an iot-connector".to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::from(self.settings.max_ack_pending),
            filter_subjects: self.settings.subjects.clone(),
            ..pull::Config::default()
        }
    }
}

/// A connection, and the messages that arrive on it.
pub(super) struct Reading {
    server: Server,
    consumer: PullConsumer,
    messages: pull::Stream,
    device_token: Option<u16>,
}

impl Source for Stream {
    const KIND: &'static str = "nats";
    type Connection = Reading;

    async fn connect(&self) -> Result<Reading, SourceError> {
        let server = Server::connect(&self.settings.at).await?;
        let late = |_| SourceError("JetStream doesn't answer".to_owned());
        let consumer = timeout(ANSWER, self.consumer(server.client.clone()))
            .await
            .map_err(late)??;
        let messages = consumer
            .stream()
            .max_messages_per_batch(usize::from(self.settings.max_ack_pending).min(BATCH))
            .expires(EXPIRES)
            .heartbeat(EXPIRES / 2)
            .messages()
            .await
            .map_err(|error| SourceError(daemon::process::describe(&error)))?;
        Ok(Reading {
            server,
            consumer,
            messages,
            device_token: self.settings.device_token,
        })
    }
}

impl Connection for Reading {
    type Ack = jetstream::message::Acker;

    async fn next(&mut self) -> Result<Vec<Delivery<Self::Ack>>, SourceError> {
        let first = tokio::select! {
            biased;
            message = self.messages.next() => message,
            reason = self.server.broken() => return Err(reason),
        };
        let mut deliveries = Vec::new();
        let mut arrived = Some(first);
        while let Some(message) = arrived {
            let message = message.ok_or_else(|| SourceError("the consumer was ended".to_owned()))?;
            let message = message.map_err(|error| SourceError(daemon::process::describe(&error)))?;
            deliveries.push(delivery(message, self.device_token)?);
            arrived = (deliveries.len() < BATCH)
                .then(|| self.messages.next().now_or_never())
                .flatten();
        }
        Ok(deliveries)
    }

    async fn lag(&mut self) -> Option<u64> {
        let info = timeout(ANSWER, self.consumer.info()).await.ok()?.ok()?;
        Some(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0))
    }

    async fn acknowledge(&mut self, acks: Vec<Self::Ack>) -> Result<(), SourceError> {
        for ack in acks {
            // One that is lost on the way makes the message come again, which is recognised.
            let sent = ack.ack_with(AckKind::Ack).await;
            sent.map_err(|error| SourceError(format!("a message can't be acknowledged: {error}")))?;
        }
        Ok(())
    }

    async fn close(self) {
        drop(self.messages);
        // What isn't acknowledged by then is delivered again, and recognised.
        let _ = timeout(GOODBYE, self.server.client.flush()).await;
    }
}

fn delivery(message: Message, device_token: Option<u16>) -> Result<Delivery<jetstream::message::Acker>, SourceError> {
    let (position, order, context) = {
        let info = message.info().map_err(|error| {
            SourceError(format!(
                "the server sent something that is no message of a stream: {error}"
            ))
        })?;
        let published = info.published.unix_timestamp_nanos();
        let position = Position {
            // With its time, since a stream that is made anew counts from 1 again.
            place: Place::Id(format!("{}\n{}\n{published}", info.stream, info.stream_sequence).into_bytes()),
            // The server may have forgotten that it delivered the message.
            redelivered: true,
        };
        let published = Timestamp::from_nanosecond(published).unwrap_or_else(|_| Timestamp::now());
        let order = Order {
            received: published.as_microsecond(),
            position: i64::try_from(info.stream_sequence).unwrap_or(i64::MAX),
        };
        let mut system = Map::new();
        system.insert("subject".to_owned(), Value::from(message.subject.as_str()));
        system.insert("stream".to_owned(), Value::from(info.stream));
        // As text, like all that IoT Hub puts here.
        system.insert("sequence".to_owned(), Value::from(info.stream_sequence.to_string()));
        system.insert("timestamp".to_owned(), Value::from(published.to_string()));
        let device = device_token
            .and_then(|token| message.subject.split('.').nth(usize::from(token).saturating_sub(1)))
            .filter(|device| !device.is_empty());
        let properties = message.headers.as_ref().map(properties).unwrap_or_default();
        (position, order, context::of(properties, system, device, published))
    };
    let (message, ack) = message.split();
    Ok(Delivery {
        position: Some(position),
        order: Some(order),
        message: NewMessage {
            body: message.payload,
            context: context.into(),
        },
        ack,
    })
}

/// The headers but for those by which NATS itself works; of several with one name, the last.
fn properties(headers: &HeaderMap) -> Map<String, Value> {
    let own = |name: &str| name.starts_with("Nats-");
    headers
        .iter()
        .filter(|(name, _)| !own(name.as_ref()))
        .filter_map(|(name, values)| Some((name.to_string(), Value::from(values.last()?.as_str()))))
        .collect()
}
