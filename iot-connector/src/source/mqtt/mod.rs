//! An MQTT broker, subscribed to with `QoS` 1 in a session that the broker keeps while we are away.
//!
//! A message is acknowledged (PUBACK) when it is on disk. After a broken connection the broker delivers what wasn't
//! acknowledged again, with the DUP flag and the packet identifier that it had; these and the content tell that we have it.

mod v3;
mod v5;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use iot_connector_settings::{Endpoint, Mqtt, MqttVersion, SettingsError};
use jiff::Timestamp;
use rumqttc_v5::TlsConfiguration;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Connection, Delivery, Source, SourceError,
    arriving::Arriving,
    secrets::{self, Named},
};
use crate::{
    ingest::context,
    spool::{NewMessage, Place, Position},
};

/// Seconds between signs of life.
const KEEP_ALIVE: u16 = 30;
/// How long the broker may take until it has accepted connection and subscription.
const ANSWER: Duration = Duration::from_secs(20);
/// How long the last acknowledgements may take at a shutdown.
const GOODBYE: Duration = Duration::from_secs(2);
/// Bytes of a packet: the most that MQTT allows. The broker's own bound is what counts; a smaller one here would make it
/// drop messages.
const MAX_PACKET: u32 = 268_435_455;

/// A broker to subscribe to.
pub(super) struct Broker {
    settings: Mqtt,
    endpoint: Endpoint,
}

/// What is read from files at every connect.
struct Secrets {
    username: Option<String>,
    password: Vec<u8>,
    tls: Option<TlsConfiguration>,
}

/// A message as both versions have it.
struct Publish {
    dup: bool,
    qos: u8,
    retain: bool,
    topic: Bytes,
    pkid: u16,
    payload: Bytes,
    content_type: Option<String>,
    user_properties: Vec<(String, String)>,
}

/// What acknowledges a message; with `QoS` 0 there is nothing to acknowledge.
pub(super) enum Ack {
    Nothing,
    V3(rumqttc_v4::ManualAck),
    V5(rumqttc_v5::ManualAck),
}

/// What one turn of the protocol gave.
enum Step {
    Connected,
    Subscribed,
    /// The broker doesn't let us subscribe.
    Refused(String),
    Message(Publish, Ack),
    Other,
}

enum Client {
    V3(rumqttc_v4::AsyncClient),
    V5(rumqttc_v5::AsyncClient),
}

enum Events {
    V3(Box<rumqttc_v4::EventLoop>),
    V5(Box<rumqttc_v5::EventLoop>),
}

impl Broker {
    pub fn new(settings: Mqtt) -> Result<Self, SettingsError> {
        let endpoint = settings.endpoint()?;
        Ok(Self { settings, endpoint })
    }

    fn secrets(&self) -> Result<Secrets, SourceError> {
        let settings = &self.settings;
        let secrets = Named {
            folder: settings.secret_folder.as_deref(),
            username: settings.username_file.as_deref(),
            password: settings.password_file.as_deref(),
            authorities: settings.ca_file.as_deref(),
            ..Named::default()
        }
        .read()?;
        let tls = self
            .endpoint
            .tls
            .then(|| tls(secrets.authorities.as_deref()))
            .transpose()?;
        Ok(Secrets {
            username: secrets.username,
            password: secrets.password.unwrap_or_default().into_bytes(),
            tls,
        })
    }

    fn open(&self) -> Result<(Client, Events), SourceError> {
        let secrets = self.secrets()?;
        Ok(match self.settings.version {
            MqttVersion::V3 => {
                let (client, events) = v3::open(&self.settings, &self.endpoint, secrets);
                (Client::V3(client), Events::V3(Box::new(events)))
            }
            MqttVersion::V5 => {
                let (client, events) = v5::open(&self.settings, &self.endpoint, secrets);
                (Client::V5(client), Events::V5(Box::new(events)))
            }
        })
    }

    fn delivery(&self, publish: Publish, ack: Ack) -> Delivery<Ack> {
        let position = (publish.pkid != 0).then(|| Position {
            place: Place::Id(publish.id()),
            redelivered: publish.dup,
        });
        let context = publish.context(&self.settings, Timestamp::now());
        Delivery {
            position,
            order: None,
            message: NewMessage {
                body: publish.payload,
                context: context.into(),
            },
            ack,
        }
    }
}

fn tls(authorities: Option<&Path>) -> Result<TlsConfiguration, SourceError> {
    match authorities {
        Some(path) => Ok(TlsConfiguration::Simple {
            ca: secrets::authorities(path)?,
            alpn: None,
            client_auth: None,
        }),
        None => TlsConfiguration::try_default_rustls()
            .map_err(|error| SourceError(format!("the system's authorities can't be used: {error}"))),
    }
}

impl Client {
    async fn subscribe(&self, topics: &[String]) -> Result<(), SourceError> {
        let refused = |error: &dyn std::error::Error| SourceError(format!("can't subscribe: {error}"));
        match self {
            Self::V3(client) => v3::subscribe(client, topics).await.map_err(|error| refused(&error)),
            Self::V5(client) => v5::subscribe(client, topics).await.map_err(|error| refused(&error)),
        }
    }

    async fn acknowledge(&self, ack: Ack) -> Result<(), SourceError> {
        let sent = match (self, ack) {
            (Self::V3(client), Ack::V3(ack)) => client.manual_ack(ack).await.is_ok(),
            (Self::V5(client), Ack::V5(ack)) => client.manual_ack(ack).await.is_ok(),
            _ => true,
        };
        if sent { Ok(()) } else { Err(closed()) }
    }

    async fn disconnect(&self) {
        // Fails where the connection is gone already.
        let _ = match self {
            Self::V3(client) => client.disconnect().await.is_ok(),
            Self::V5(client) => client.disconnect().await.is_ok(),
        };
    }
}

impl Events {
    async fn step(&mut self) -> Result<Step, SourceError> {
        match self {
            Self::V3(events) => v3::step(events).await.map_err(|error| failed(&error)),
            Self::V5(events) => v5::step(events).await.map_err(|error| failed(&error)),
        }
    }
}

fn failed(error: &dyn std::error::Error) -> SourceError {
    SourceError(daemon::process::describe(error))
}

fn closed() -> SourceError {
    SourceError("the connection was closed".to_owned())
}

impl Publish {
    /// Equal for the deliveries of one message, as long as the broker waits for its acknowledgement.
    fn id(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.pkid.to_be_bytes());
        part(&self.topic);
        part(&self.payload);
        for (name, value) in &self.user_properties {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        hash.finalize().to_vec()
    }

    fn context(&self, settings: &Mqtt, now: Timestamp) -> String {
        let topic = String::from_utf8_lossy(&self.topic).into_owned();
        let device = settings
            .device_level
            .and_then(|level| topic.split('/').nth(usize::from(level).saturating_sub(1)))
            .filter(|device| !device.is_empty())
            .map(str::to_owned);
        let properties: Map<String, Value> = self
            .user_properties
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let mut system = Map::new();
        system.insert("mqtt-topic".to_owned(), Value::from(topic));
        // As text, like all that IoT Hub puts here.
        system.insert("mqtt-qos".to_owned(), Value::from(self.qos.to_string()));
        system.insert("mqtt-retain".to_owned(), Value::from(self.retain.to_string()));
        if let Some(kind) = &self.content_type {
            system.insert("content-type".to_owned(), Value::from(kind.as_str()));
        }
        context::of(properties, system, device.as_deref(), now)
    }
}

/// A connection whose protocol runs in a task of its own, so that signs of life go on while messages wait.
pub(super) struct Subscribed {
    client: Client,
    arriving: Arriving<[Delivery<Ack>; 1]>,
    protocol: AbortOnDropHandle<()>,
}

impl Source for Broker {
    const KIND: &'static str = "mqtt";
    type Connection = Subscribed;

    async fn connect(&self) -> Result<Subscribed, SourceError> {
        let (client, mut events) = self.open()?;
        let mut early = Vec::new();
        let handshake = async {
            loop {
                match events.step().await? {
                    Step::Connected => client.subscribe(&self.settings.topics).await?,
                    Step::Subscribed => return Ok(()),
                    Step::Refused(reason) => return Err(SourceError(reason)),
                    // A session that was kept delivers at once.
                    Step::Message(publish, ack) => early.push(self.delivery(publish, ack)),
                    Step::Other => {}
                }
            }
        };
        let late = |_| SourceError("the broker doesn't answer".to_owned());
        timeout(ANSWER, handshake).await.map_err(late)??;

        // Room for all that the broker may send before an acknowledgement, so that the protocol never stands still.
        let room = usize::from(self.settings.receive_maximum) + early.len();
        let (sender, arriving) = mpsc::channel(room);
        for delivery in early {
            let _ = sender.try_send(Ok([delivery]));
        }
        let broker = Self {
            settings: self.settings.clone(),
            endpoint: self.endpoint.clone(),
        };
        let protocol = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                match events.step().await {
                    Ok(Step::Message(publish, ack)) => {
                        // At a shutdown nobody listens, but acknowledgements still go out.
                        let _ = sender.send(Ok([broker.delivery(publish, ack)])).await;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                }
            }
        }));
        Ok(Subscribed {
            client,
            arriving: Arriving::new(arriving),
            protocol,
        })
    }
}

impl Connection for Subscribed {
    type Ack = Ack;

    async fn next(&mut self) -> Result<Vec<Delivery<Ack>>, SourceError> {
        self.arriving.next().await
    }

    async fn lag(&mut self) -> Option<u64> {
        None
    }

    async fn acknowledge(&mut self, acks: Vec<Ack>) -> Result<(), SourceError> {
        for ack in acks {
            self.client.acknowledge(ack).await?;
        }
        Ok(())
    }

    async fn close(mut self) {
        self.arriving.close();
        self.client.disconnect().await;
        // What isn't acknowledged by then is delivered again, and recognised.
        let _ = timeout(GOODBYE, &mut self.protocol).await;
    }
}
