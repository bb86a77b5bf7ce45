//! MQTT 3.1.1.

use iot_connector_settings::{Endpoint, Mqtt};
use rumqttc_v4::{
    AckMode, AsyncClient, ClientError, ConnectionError, Event, EventLoop, ManualAck, MqttOptions, Packet, PubAck, QoS,
    SessionMode, SubscribeFilterInput, SubscribeReasonCode, Transport,
};

use super::{Ack, KEEP_ALIVE, MAX_PACKET, Publish, Secrets, Step};

pub(super) fn open(settings: &Mqtt, endpoint: &Endpoint, secrets: Secrets) -> (AsyncClient, EventLoop) {
    let most = MAX_PACKET as usize;
    let mut options = MqttOptions::new(settings.client_id.as_str(), (endpoint.host.as_str(), endpoint.port));
    options
        .set_session_mode(SessionMode::Persistent)
        .set_max_packet_size(most, most)
        .set_keep_alive(KEEP_ALIVE)
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
    let filters = topics
        .iter()
        .map(|topic| SubscribeFilterInput::new(topic.as_str(), QoS::AtLeastOnce));
    client.subscribe_many(filters).await
}

pub(super) async fn step(events: &mut EventLoop) -> Result<Step, ConnectionError> {
    Ok(match events.poll().await? {
        Event::Incoming(Packet::ConnAck(_)) => Step::Connected,
        Event::Incoming(Packet::SubAck(answer)) => {
            if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                Step::Refused("the broker refuses a topic filter".to_owned())
            } else {
                Step::Subscribed
            }
        }
        Event::Incoming(Packet::Publish(publish)) => {
            let ack = match publish.pkid {
                0 => Ack::Nothing,
                pkid => Ack::V3(ManualAck::PubAck(PubAck::new(pkid))),
            };
            let message = Publish {
                dup: publish.dup,
                qos: publish.qos as u8,
                retain: publish.retain,
                topic: publish.topic,
                pkid: publish.pkid,
                payload: publish.payload,
                content_type: None,
                user_properties: Vec::new(),
            };
            Step::Message(message, ack)
        }
        _ => Step::Other,
    })
}
