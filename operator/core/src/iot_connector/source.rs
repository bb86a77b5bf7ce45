//! The source of messages beside HTTP: what the connector is told about it, and what is said of it.

use fhir_operator_api::{ConditionType, Reason, Source};
use iot_connector_settings::{Kafka, Mqtt, Nats, NatsServers, SharedSpool, SourceState, SourceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Validated;
use crate::conditions::{self, Finding};
use crate::names::Owner;

/// What the connector reads at start; `secrets` is where the Secret of the source is mounted.
pub(super) fn settings(validated: &Validated, secrets: &str) -> iot_connector_settings::Source {
    validated
        .source
        .as_ref()
        .map(|source| of(source, &validated.owner, secrets))
        .unwrap_or_default()
}

/// The streams in which replicas share the work, where they do; `secrets` is where the Secret of their servers is mounted,
/// where the source isn't NATS. Each replica has a name of its own beside them.
pub(crate) fn shared(source: &Source, owner: &Owner, secrets: &str) -> Option<SharedSpool> {
    let wanted = source.shared()?;
    let default = SharedSpool::default();
    Some(SharedSpool {
        name: own_name(owner),
        copies: wanted.copies.unwrap_or(default.copies),
        nats: wanted.nats.as_ref().map(|nats| NatsServers {
            servers: nats.servers.clone(),
            secret_folder: nats.secret_name.as_ref().map(|_| secrets.into()),
            ..NatsServers::default()
        }),
        ..default
    })
}

/// The broker keeps the connector's place by this name, which nobody else in the cluster has: no namespace and no name has
/// an underscore.
fn own_name(owner: &Owner) -> String {
    format!("{}_{}", owner.namespace, owner.child())
}

/// The connector's own form of a source.
pub(crate) fn of(source: &Source, owner: &Owner, secrets: &str) -> iot_connector_settings::Source {
    let secret_folder = source.secret_name().map(|_| secrets.into());
    let own_name = own_name(owner);
    iot_connector_settings::Source {
        mqtt: source.mqtt.as_ref().map(|mqtt| Mqtt {
            address: mqtt.address.clone(),
            version: mqtt.version.unwrap_or_default(),
            topics: mqtt.topics.clone(),
            client_id: own_name.clone(),
            secret_folder: secret_folder.clone(),
            device_level: mqtt.device_level,
            ..Mqtt::default()
        }),
        nats: source.nats.as_ref().map(|nats| Nats {
            at: NatsServers {
                servers: nats.servers.clone(),
                secret_folder: secret_folder.clone(),
                ..NatsServers::default()
            },
            stream: nats.stream.clone(),
            consumer: own_name,
            subjects: nats.subjects.clone(),
            device_token: nats.device_token,
            ..Nats::default()
        }),
        kafka: source.kafka.as_ref().map(|kafka| Kafka {
            brokers: kafka.brokers.clone(),
            topics: kafka.topics.clone(),
            tls: kafka.tls.unwrap_or_default(),
            mechanism: kafka.mechanism.unwrap_or_default(),
            secret_folder,
            device_key: kafka.device_key.unwrap_or_default(),
            ..Kafka::default()
        }),
    }
}

/// `SourceReady` where there is more to a source than the spool's volume. While nothing is heard of the connector, what
/// was said last stands.
pub(super) fn finding(source: Option<&Source>, told: Option<&SourceStatus>, said: &[Condition]) -> Option<Finding> {
    let source = source?;
    let kind = match (&source.http, &source.mqtt, &source.nats, &source.kafka) {
        (Some(_), ..) => "stream of messages",
        (_, Some(_), ..) => "MQTT broker",
        (_, _, Some(_), _) => "NATS stream",
        (.., Some(_)) => "Kafka broker",
        (None, None, None, None) => return None,
    };
    let condition = ConditionType::SourceReady;
    let connected = |message| Finding::holds(condition, Reason::Connected, message);
    let not_connected = |message| Finding::fails(condition, Reason::NotConnected, message);
    let Some(told) = told else {
        let before = conditions::find(said, condition).filter(|said| {
            [Reason::Connected, Reason::NotConnected]
                .iter()
                .any(|reason| reason.name() == said.reason)
        });
        return Some(match before {
            Some(said) if said.status == "True" => connected(said.message.clone()),
            Some(said) => not_connected(said.message.clone()),
            None => not_connected(format!("the connector hasn't told yet whether the {kind} is connected")),
        });
    };
    let why = told.message.as_deref();
    let is_shared = source.shared().is_some();
    Some(match told.state {
        SourceState::Connecting => not_connected(format!("{kind}: {}", why.unwrap_or("connecting"))),
        SourceState::Connected if is_shared => connected(format!("the {kind} is read")),
        SourceState::Connected => connected(format!("the {kind} is read by one replica, whose spool is its own")),
        SourceState::Waiting => connected(format!(
            "the {kind} keeps its messages: {}{}",
            why.unwrap_or("the queue is full"),
            if is_shared {
                ""
            } else {
                "; one replica reads it, whose spool is its own"
            }
        )),
    })
}
