//! Topics of Kafka as the source of messages.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SettingsError, refuse};

/// Topics of Kafka, or of what speaks its protocol, like Azure Event Hubs. They have to be there. Where reading goes on
/// is kept in the spool, not at the broker: no consumer group is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Kafka {
    /// `HOST:PORT`: any of these brokers is asked first, they name the others
    pub brokers: Vec<String>,
    /// Topics to read, each with all its partitions
    pub topics: Vec<String>,
    /// Whether TLS is spoken
    pub tls: bool,
    /// How user name and password are shown, where there are any
    pub mechanism: SaslMechanism,
    /// Folder with any of the files `username`, `password` and `ca.crt`, for those that aren't named below
    pub secret_folder: Option<PathBuf>,
    /// File with the user name, read at every connect; absent: no user is told
    pub username_file: Option<PathBuf>,
    /// File with the password, read at every connect
    pub password_file: Option<PathBuf>,
    /// PEM file with the authorities to trust instead of the system's, read at every connect
    pub ca_file: Option<PathBuf>,
    /// Whether a record's key is the device's id; if not, the id is in the message only
    pub device_key: bool,
}

/// A mechanism of SASL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// The password itself, which TLS has to hide
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof that one knows the password
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Likewise
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Kafka {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        if self.brokers.is_empty() || !self.brokers.iter().all(|broker| is_broker(broker)) {
            return refuse(
                "source.kafka.brokers",
                "name at least one broker as `HOST:PORT`, without scheme; user and password belong in files",
            );
        }
        if self.topics.is_empty() || !self.topics.iter().all(|topic| is_topic(topic)) {
            return refuse(
                "source.kafka.topics",
                "name at least one topic: letters, digits, `.`, `_` and `-`, at most 249 of them",
            );
        }
        let mut topics: Vec<&String> = self.topics.iter().collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.len() != self.topics.len() {
            return refuse("source.kafka.topics", "name each topic once");
        }
        if self.secret_folder.is_none() && self.username_file.is_some() != self.password_file.is_some() {
            return refuse(
                "source.kafka.usernameFile",
                "user name and password have to be named together",
            );
        }
        Ok(())
    }
}

fn is_broker(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        !host.is_empty()
            && !host.contains(['/', '@', ' ', '[', ']'])
            && (bare.is_some() || !host.contains(':'))
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// What Kafka takes as a topic's name.
fn is_topic(topic: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    (1..=249).contains(&topic.len()) && topic.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::least(json!({}), None)]
    #[case::ipv6(json!({"brokers": ["[::1]:9092"]}), None)]
    #[case::no_brokers(json!({"brokers": []}), Some("source.kafka.brokers"))]
    #[case::no_port(json!({"brokers": ["broker"]}), Some("source.kafka.brokers"))]
    #[case::a_scheme(json!({"brokers": ["kafka://broker:9092"]}), Some("source.kafka.brokers"))]
    #[case::secret_in_the_address(json!({"brokers": ["u@broker:9092"]}), Some("source.kafka.brokers"))]
    #[case::no_host(json!({"brokers": [":9092"]}), Some("source.kafka.brokers"))]
    #[case::no_topics(json!({"topics": []}), Some("source.kafka.topics"))]
    #[case::a_pattern(json!({"topics": ["devices.*"]}), Some("source.kafka.topics"))]
    #[case::twice(json!({"topics": ["t", "t"]}), Some("source.kafka.topics"))]
    #[case::user(json!({"usernameFile": "u", "passwordFile": "p", "mechanism": "SCRAM-SHA-512"}), None)]
    #[case::user_alone(json!({"usernameFile": "u"}), Some("source.kafka.usernameFile"))]
    #[case::password_alone(json!({"passwordFile": "p"}), Some("source.kafka.usernameFile"))]
    fn settings_are_judged(#[case] change: Value, #[case] refused: Option<&str>) {
        let mut file = json!({"brokers": ["broker.example:9093"], "topics": ["devices"]});
        file.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let kafka: Kafka = serde_json::from_value(file).unwrap();
        assert_eq!(kafka.validate().err().map(|error| error.option), refused);
    }
}
