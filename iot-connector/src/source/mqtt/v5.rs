//! MQTT 5.

use std::{future::Future, pin::Pin, time::Duration};

use iot_connector_settings::{Endpoint, Mqtt};
use rumqttc_v5::{
    AckMode, AsyncClient, ClientError, ConnectionError, Event, EventLoop, IncomingPacketSizeLimit, ManualAck,
    MqttOptions, Packet, PersistedAckMode, PersistedSession, PubAck, QoS, RetainForwardRule, SessionMode, SessionStore,
    SessionStoreError, SessionStoreKey, SubscribeFilterInput, SubscribeReasonCode, Transport,
};

use super::{Ack, KEEP_ALIVE, MAX_PACKET, Publish, Secrets, Step};

/// What the library calls this, without exporting the name.
type SessionStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

/// Our half of a session that the broker kept. We publish nothing, so there never is anything to go on with.
#[derive(Debug)]
struct NothingSent;

impl SessionStore for NothingSent {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> SessionStoreFuture<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: Some(u32::MAX),
            outgoing_inflight_upper_limit: None,
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> SessionStoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> SessionStoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

pub(super) fn open(settings: &Mqtt, endpoint: &Endpoint, secrets: Secrets) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(settings.client_id.as_str(), (endpoint.host.as_str(), endpoint.port));
    options
        .set_session_mode(SessionMode::Persistent)
        .set_session_store(NothingSent)
        .set_receive_maximum(Some(settings.receive_maximum))
        .set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(MAX_PACKET))
        .set_keep_alive(KEEP_ALIVE)
        .set_connect_timeout(Duration::from_secs(10))
        .set_ack_mode(AckMode::Manual);
    if let Some(username) = secrets.username {
        options.set_credentials(username, secrets.password);
    }
    if let Some(tls) = secrets.tls {
        options.set_transport(Transport::tls_with_config(tls));
    }
    AsyncClient::builder(options).unbounded().build()
}

pub(super) async fn subscribe(client: &AsyncClient, topics: &[String]) -> Result<(), ClientError> {
    // Retained messages come once, not at every connect.
    let filter = |topic: &String| {
        SubscribeFilterInput::new(topic.as_str(), QoS::AtLeastOnce)
            .retain_forward_rule(RetainForwardRule::OnNewSubscribe)
    };
    let filters = topics.iter().map(filter);
    client.subscribe_many(filters).await
}

pub(super) async fn step(events: &mut EventLoop) -> Result<Step, ConnectionError> {
    Ok(match events.poll().await? {
        Event::Incoming(Packet::ConnAck(_)) => Step::Connected,
        Event::Incoming(Packet::SubAck(answer)) => {
            let refused = answer
                .return_codes
                .iter()
                .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
            match refused {
                Some(code) => Step::Refused(format!("the broker refuses a topic filter: {code:?}")),
                None => Step::Subscribed,
            }
        }
        Event::Incoming(Packet::Publish(publish)) => {
            let properties = publish.properties.unwrap_or_default();
            let ack = match publish.pkid {
                0 => Ack::Nothing,
                pkid => Ack::V5(ManualAck::PubAck(PubAck::new(pkid, None))),
            };
            let message = Publish {
                dup: publish.dup,
                qos: publish.qos as u8,
                retain: publish.retain,
                topic: publish.topic,
                pkid: publish.pkid,
                payload: publish.payload,
                content_type: properties.content_type,
                user_properties: properties.user_properties,
            };
            Step::Message(message, ack)
        }
        _ => Step::Other,
    })
}
