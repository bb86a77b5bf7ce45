//! Where devices give their messages away.

use std::time::Duration;

use async_nats::jetstream::Context;
use rskafka::client::partition::PartitionClient;

use crate::{kafka, nats, shared::Broker};

/// A connector's own port, or a broker.
pub enum Door {
    /// `POST /messages`.
    Http {
        /// Keeps connections.
        client: reqwest::Client,
        /// Where to.
        url: String,
    },
    /// A stream of a NATS server.
    Nats {
        /// The server.
        address: String,
        /// While there is a connection.
        stream: Option<Box<Context>>,
    },
    /// A topic of a Kafka broker.
    Kafka {
        /// The broker.
        address: String,
        /// While there are connections.
        partitions: Vec<PartitionClient>,
    },
}

impl Door {
    /// A connector's port.
    pub fn http(url: &str) -> Self {
        Self::Http {
            client: reqwest::Client::new(),
            url: url.to_owned(),
        }
    }

    /// A broker that isn't connected yet.
    pub fn of(broker: Broker, address: &str) -> Self {
        let address = address.to_owned();
        match broker {
            Broker::Nats => Self::Nats { address, stream: None },
            Broker::Kafka => Self::Kafka {
                address,
                partitions: Vec::new(),
            },
        }
    }

    /// Whether all messages are acknowledged; if not, some may be there nevertheless.
    pub async fn takes(&mut self, messages: &[String]) -> bool {
        match self {
            Self::Http { client, url } => {
                let body = messages.join("\n");
                let request = client.post(url.as_str()).timeout(Duration::from_secs(10)).body(body);
                request.send().await.is_ok_and(|answer| answer.status() == 202)
            }
            Self::Nats { address, stream } => {
                if stream.is_none() {
                    *stream = nats::connect(address).await.ok().map(Box::new);
                }
                let Some(connected) = stream else { return false };
                let taken = nats::publish(connected, messages).await.is_ok();
                if !taken {
                    *stream = None;
                }
                taken
            }
            Self::Kafka { address, partitions } => {
                if partitions.is_empty() {
                    *partitions = kafka::connect(address).await.unwrap_or_default();
                }
                let taken = !partitions.is_empty() && kafka::publish(partitions, messages).await.is_ok();
                if !taken {
                    partitions.clear();
                }
                taken
            }
        }
    }
}
