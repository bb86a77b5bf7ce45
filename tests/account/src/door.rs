//! Where devices give their messages away.

use std::time::Duration;

use async_nats::jetstream::Context;

use crate::nats;

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
}

impl Door {
    /// A connector's port.
    pub fn http(url: &str) -> Self {
        Self::Http {
            client: reqwest::Client::new(),
            url: url.to_owned(),
        }
    }

    /// A server that isn't connected yet.
    pub fn nats(address: &str) -> Self {
        Self::Nats {
            address: address.to_owned(),
            stream: None,
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
        }
    }
}
