//! Where messages come from beside HTTP.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Kafka, Nats, SettingsError, refuse, within};

/// Where messages come from beside HTTP; at most one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// An MQTT broker to subscribe to
    pub mqtt: Option<Mqtt>,
    /// A stream of NATS JetStream to read
    pub nats: Option<Nats>,
    /// Topics of Kafka to read
    pub kafka: Option<Kafka>,
}

impl Source {
    /// The same kind of source, with nothing set.
    pub(crate) fn defaults(&self) -> Self {
        Self {
            mqtt: self.mqtt.as_ref().map(|_| Mqtt::default()),
            nats: self.nats.as_ref().map(|_| Nats::default()),
            kafka: self.kafka.as_ref().map(|_| Kafka::default()),
        }
    }

    /// Checks what the types alone can't.
    pub fn validate(&self) -> Result<(), SettingsError> {
        match (&self.mqtt, &self.nats, &self.kafka) {
            (None, None, None) => Ok(()),
            (Some(mqtt), None, None) => mqtt.validate(),
            (None, Some(nats), None) => nats.validate(),
            (None, None, Some(kafka)) => kafka.validate(),
            _ => Err(SettingsError {
                option: "source",
                reason: "name one source: `mqtt`, `nats` or `kafka`".to_owned(),
            }),
        }
    }
}

/// Names of the files in a source's folder of secrets: those that Kubernetes' own Secrets use, and NATS'.
#[derive(Debug, Clone, Copy)]
pub struct SecretFiles {
    /// The user's name.
    pub username: &'static str,
    /// The password.
    pub password: &'static str,
    /// A token instead of both (NATS).
    pub token: &'static str,
    /// A user's JWT and key (NATS).
    pub credentials: &'static str,
    /// The authorities to trust instead of the system's, as PEM.
    pub authorities: &'static str,
}

/// See [`SecretFiles`].
pub const SECRET_FILES: SecretFiles = SecretFiles {
    username: "username",
    password: "password",
    token: "token",
    credentials: "user.creds",
    authorities: "ca.crt",
};

impl SecretFiles {
    /// All of them.
    pub fn all(&self) -> [&'static str; 5] {
        [
            self.username,
            self.password,
            self.token,
            self.credentials,
            self.authorities,
        ]
    }
}

/// An MQTT broker to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mqtt {
    /// `mqtt://HOST:PORT` (1883), or `mqtts://HOST:PORT` (8883) for TLS
    pub address: String,
    /// The protocol's version
    pub version: MqttVersion,
    /// Topic filters, plain or shared (`$share/GROUP/FILTER`)
    pub topics: Vec<String>,
    /// Names the session that the broker keeps for this connector; no other client of the broker may use it
    pub client_id: String,
    /// Folder with any of the files `username`, `password` and `ca.crt`, for those that aren't named below
    pub secret_folder: Option<PathBuf>,
    /// File with the user name, read at every connect; absent: none is sent
    pub username_file: Option<PathBuf>,
    /// File with the password, read at every connect
    pub password_file: Option<PathBuf>,
    /// PEM file with the authorities to trust instead of the system's, read at every connect
    pub ca_file: Option<PathBuf>,
    /// Messages that the broker may deliver before the first of them is acknowledged (MQTT 5)
    pub receive_maximum: u16,
    /// The level of the topic, from 1, that is the device's id; absent: the id is in the message only
    pub device_level: Option<u16>,
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1
    #[serde(rename = "3.1.1")]
    V3,
    /// MQTT 5
    #[default]
    #[serde(rename = "5")]
    V5,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            address: String::new(),
            version: MqttVersion::default(),
            topics: Vec::new(),
            client_id: String::new(),
            secret_folder: None,
            username_file: None,
            password_file: None,
            ca_file: None,
            receive_maximum: 1000,
            device_level: None,
        }
    }
}

/// What an address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

impl Mqtt {
    /// The address taken apart.
    pub fn endpoint(&self) -> Result<Endpoint, SettingsError> {
        let wrong = || SettingsError {
            option: "source.mqtt.address",
            reason: "has to be `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` for TLS".to_owned(),
        };
        let (scheme, rest) = self.address.split_once("://").ok_or_else(wrong)?;
        let (tls, usual) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // An IPv6 address has colons of its own, in brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, usual),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || host.contains(['/', '@', '[', ']']) || (bare.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        Ok(Endpoint {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        self.endpoint()?;
        if self.topics.is_empty() || self.topics.iter().any(String::is_empty) {
            return refuse(
                "source.mqtt.topics",
                "name at least one topic filter, like `devices/+/readings`",
            );
        }
        if self.client_id.is_empty() {
            return refuse(
                "source.mqtt.clientId",
                "is required: the broker keeps messages for the session of this name while the connector is away",
            );
        }
        if self.password_file.is_some() && self.username_file.is_none() && self.secret_folder.is_none() {
            return refuse("source.mqtt.usernameFile", "is required with a password");
        }
        let maximum = u64::from(self.receive_maximum);
        within("source.mqtt.receiveMaximum", maximum, 1, 65_535)?;
        within(
            "source.mqtt.deviceLevel",
            u64::from(self.device_level.unwrap_or(1)),
            1,
            65_535,
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("mqtt://broker", Some(("broker", 1883, false)))]
    #[case::tls("mqtts://broker.example/", Some(("broker.example", 8883, true)))]
    #[case::port("mqtt://10.0.0.1:1884", Some(("10.0.0.1", 1884, false)))]
    #[case::ipv6("mqtts://[::1]:8884", Some(("::1", 8884, true)))]
    #[case::ipv6_without_port("mqtt://[::1]", Some(("::1", 1883, false)))]
    #[case::no_scheme("broker:1883", None)]
    #[case::other_scheme("http://broker", None)]
    #[case::no_host("mqtt://:1883", None)]
    #[case::secret_in_the_address("mqtt://user:password@broker", None)]
    #[case::path("mqtt://broker/topic", None)]
    fn an_address_is_taken_apart(#[case] address: &str, #[case] expected: Option<(&str, u16, bool)>) {
        let mqtt = Mqtt {
            address: address.to_owned(),
            ..Mqtt::default()
        };
        let expected = expected.map(|(host, port, tls)| Endpoint {
            host: host.to_owned(),
            port,
            tls,
        });
        assert_eq!(mqtt.endpoint().ok(), expected);
    }
}
