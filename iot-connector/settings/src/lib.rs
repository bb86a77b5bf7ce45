//! Every option, port, path and the status page of iot-connector, once.
//!
//! The operator serialises [`Settings::minimal`] into the pod's settings file and reads [`StatusPage`]; the program reads
//! the file, environment variables `IOT_CONNECTOR_…` and flags, and warns about options that it doesn't know.

mod issuers;
mod kafka;
mod keys;
mod nats;
mod source;
mod spool;
mod status;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use daemon_settings::{Log, LogFormat, Otlp, SettingsError, Tls};
pub use issuers::Issuer;
pub use kafka::{Kafka, SaslMechanism};
pub use keys::{ConnectionKey, ConnectionKeys, KEY_HEADER};
pub use nats::{Nats, NatsServers};
pub use source::{Endpoint, Mqtt, MqttVersion, SECRET_FILES, SecretFiles, Source};
pub use spool::{SharedSpool, Spool};
pub use status::{FhirState, MappingState, Moment, Sharing, SourceState, SourceStatus, StatusPage};

/// Prefix of the environment variables.
pub const ENVIRONMENT_PREFIX: &str = "IOT_CONNECTOR";
/// The port of `listen` in a pod: messages and health.
pub const PORT: u16 = 8080;
/// The port of `management` in a pod: status, metrics, health, dead letters.
pub const MANAGEMENT_PORT: u16 = 9090;
/// The path that devices post to.
pub const MESSAGES_PATH: &str = "/messages";

/// The settings file of `iot-connector run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// What this connector is called in figures: their label `connector`; absent: they have none
    pub name: Option<String>,
    /// The address for device messages and health
    pub listen: String,
    /// The address for status, metrics, health and dead letters; absent: not served
    pub management: Option<String>,
    /// Host names by which the management address is reached, beside IP addresses, `localhost` and names inside of a
    /// cluster; others are refused, since a page of the world may give its name this address
    pub management_hosts: Vec<String>,
    /// TLS for the device address; absent: plain HTTP
    pub tls: Option<Tls>,
    /// Logs
    pub log: Log,
    /// Figures that are sent to a collector
    pub otlp: Otlp,
    /// How long a shutdown waits for requests and writes in flight, in seconds
    pub drain_seconds: u32,
    /// Where messages come from beside HTTP
    pub source: Source,
    /// Where messages are kept until their readings are Observations
    pub spool: Spool,
    /// File with the device mapping (`CollectionContent`); may appear later, messages are kept until then
    pub device_mapping: Option<PathBuf>,
    /// File with the FHIR mapping (`CollectionFhir`); may appear later, messages are kept until then
    pub fhir_mapping: Option<PathBuf>,
    /// File with the SHA-256 of the connection keys (see `ConnectionKeys`), read again when it changes
    pub keys: Option<PathBuf>,
    /// Issuers whose tokens let devices send, beside the keys
    pub issuers: Vec<Issuer>,
    /// Accept messages without a key
    pub anonymous: bool,
    /// The FHIR server that Observations are written to
    pub fhir_server: FhirServer,
    /// How a device and its patient are found
    pub identity_resolution: IdentityResolution,
    /// `system` of device identifiers
    pub device_identifier_system: Option<String>,
    /// `system` of patient identifiers
    pub patient_identifier_system: Option<String>,
    /// What the connector is sized for
    pub capacity: Capacity,
    /// When a group of readings is written
    pub window: Window,
    /// Whose decisions hold where iomt-fhir, its documents and good sense differ
    pub compatibility: Compatibility,
    /// Bounds of the dead letters; at a bound ingest stops, nothing is deleted
    pub dead_letters: DeadLetters,
    /// What is kept of messages that are done with
    pub trace: Trace,
}

/// Where Observations go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FhirServer {
    /// Base URL of the FHIR API
    pub url: String,
    /// File with a bearer token, read again when it changes (a projected ServiceAccount token); absent: none is sent
    pub token_file: Option<PathBuf>,
    /// How a bearer token is got from an issuer instead
    pub client_credentials: Option<ClientCredentials>,
    /// PEM file with the authorities to trust instead of the system's, read at start
    pub ca_file: Option<PathBuf>,
    /// How long one request may take, in seconds
    pub timeout_seconds: u32,
    /// Requests under way at the same time, at most; each takes up to 64 reads or writes in a batch, and 429 or 503 makes them fewer
    pub concurrency: u32,
}

/// How an issuer (OIDC) gives the connector tokens for the FHIR server: the grant `client_credentials` of OAuth 2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCredentials {
    /// URL of the issuer, whose discovery document names the token endpoint
    pub authority: String,
    /// Id of the client there
    pub client_id: String,
    /// File with the client's secret, read each time that a token is fetched
    pub client_secret_file: PathBuf,
    /// What is asked for, like `https://fhir.example/.default` or `system/*.cruds`
    pub scope: Option<String>,
    /// PEM file with the authorities to trust instead of the system's for the issuer, read at start
    pub ca_file: Option<PathBuf>,
}

/// How a device and its patient are found on the FHIR server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityResolution {
    /// A Device with the identifier exists and is linked to its patient; otherwise the reading is a dead letter
    #[default]
    Lookup,
    /// As Lookup, and the message names an Encounter, which exists too
    LookupWithEncounter,
    /// Device and Patient are created when they don't exist
    Create,
}

/// What the connector is sized for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// Messages taken from the spool a second (200 to 10,000); what exceeds it waits; absent: as fast as it goes
    pub messages_per_second: Option<u32>,
}

/// When a group of readings is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Window {
    /// At the latest so many seconds after its first message arrived (1 to 900)
    pub flush_seconds: u32,
    /// At the latest when so many messages wait (1 to 100,000)
    pub max_events: u32,
}

/// Whose decisions hold where iomt-fhir, its documents and good sense differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Errors stay with their template, values are kept as they are, arithmetic is exact
    #[default]
    Standard,
    /// As iomt-fhir
    Upstream,
}

/// What is kept of messages that are done with, so that people can ask what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Trace {
    /// The latest so many messages (0: none, to 1,000,000)
    pub keep: u32,
    /// A message with more bytes is kept without its body
    pub max_body_bytes: u32,
}

/// Bounds of the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadLetters {
    /// At most so many
    pub max_count: u64,
    /// Their payloads together take at most so many bytes
    pub max_bytes: u64,
    /// The oldest is at most so many days old; absent: any age
    pub max_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            listen: format!("127.0.0.1:{PORT}"),
            management: None,
            management_hosts: Vec::new(),
            tls: None,
            log: Log::default(),
            otlp: Otlp::default(),
            drain_seconds: 20,
            source: Source::default(),
            spool: Spool::default(),
            device_mapping: None,
            fhir_mapping: None,
            keys: None,
            issuers: Vec::new(),
            anonymous: false,
            fhir_server: FhirServer::default(),
            identity_resolution: IdentityResolution::default(),
            device_identifier_system: None,
            patient_identifier_system: None,
            capacity: Capacity::default(),
            window: Window::default(),
            compatibility: Compatibility::default(),
            dead_letters: DeadLetters::default(),
            trace: Trace::default(),
        }
    }
}

impl Default for FhirServer {
    fn default() -> Self {
        Self {
            url: String::new(),
            token_file: None,
            client_credentials: None,
            ca_file: None,
            timeout_seconds: 30,
            concurrency: 16,
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self {
            flush_seconds: 5,
            max_events: 5_000,
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            keep: 10_000,
            max_body_bytes: 8 << 10,
        }
    }
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self {
            max_count: 100_000,
            max_bytes: 256 << 20,
            max_days: None,
        }
    }
}

impl Settings {
    /// Checks what the types alone can't.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.fhir_server.validate()?;
        match (self.keys.is_some() || !self.issuers.is_empty(), self.anonymous) {
            (true, false) | (false, true) => {}
            (false, false) => {
                return refuse(
                    "keys",
                    "name the file with the connection keys or an issuer of tokens, or set `anonymous: true` to accept messages of anyone",
                );
            }
            (true, true) => {
                return refuse(
                    "anonymous",
                    "accepts messages of anyone: leave out `keys` and `issuers`",
                );
            }
        }
        self.issuers.iter().try_for_each(Issuer::validate)?;
        within("window.flushSeconds", u64::from(self.window.flush_seconds), 1, 900)?;
        within("window.maxEvents", u64::from(self.window.max_events), 1, 100_000)?;
        within(
            "fhirServer.timeoutSeconds",
            u64::from(self.fhir_server.timeout_seconds),
            1,
            600,
        )?;
        within(
            "fhirServer.concurrency",
            u64::from(self.fhir_server.concurrency),
            1,
            256,
        )?;
        within("trace.keep", u64::from(self.trace.keep), 0, 1_000_000)?;
        within("deadLetters.maxCount", self.dead_letters.max_count, 1, 10_000_000)?;
        within("deadLetters.maxBytes", self.dead_letters.max_bytes, 1, u64::MAX)?;
        self.otlp.validate()?;
        self.source.validate()?;
        self.spool.validate(&self.source)?;
        if let Some(rate) = self.capacity.messages_per_second {
            within("capacity.messagesPerSecond", u64::from(rate), 200, 10_000)?;
        }
        Ok(())
    }

    /// The settings file with only what differs from the defaults, so that a default may change without a new file.
    pub fn minimal(&self) -> Value {
        let default = Self {
            source: self.source.defaults(),
            spool: self.spool.defaults(),
            ..Self::default()
        };
        daemon_settings::minimal(self, &default)
    }
}

impl FhirServer {
    fn validate(&self) -> Result<(), SettingsError> {
        if self.url.is_empty() {
            return refuse("fhirServer.url", "is required: the base URL of the FHIR server");
        }
        if !(self.url.starts_with("http://") || self.url.starts_with("https://")) {
            return refuse("fhirServer.url", "has to begin with `http://` or `https://`");
        }
        let Some(credentials) = &self.client_credentials else {
            return Ok(());
        };
        if self.token_file.is_some() {
            return refuse(
                "fhirServer.clientCredentials",
                "a token comes from `tokenFile` or is fetched with `clientCredentials`, not both",
            );
        }
        for (option, is_missing) in [
            (
                "fhirServer.clientCredentials.authority",
                credentials.authority.is_empty(),
            ),
            (
                "fhirServer.clientCredentials.clientId",
                credentials.client_id.is_empty(),
            ),
            (
                "fhirServer.clientCredentials.clientSecretFile",
                credentials.client_secret_file.as_os_str().is_empty(),
            ),
        ] {
            if is_missing {
                return refuse(option, "is required with the others of `clientCredentials`");
            }
        }
        Ok(())
    }
}

fn refuse(option: &'static str, reason: &str) -> Result<(), SettingsError> {
    Err(SettingsError::new(option, reason))
}

fn within(option: &'static str, value: u64, least: u64, most: u64) -> Result<(), SettingsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(SettingsError::new(
        option,
        format!("{value} isn't within {least} to {most}"),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn with_mqtt(mqtt: &Value) -> Value {
        json!({"anonymous": true, "fhirServer": {"url": "http://x"}, "source": {"mqtt": mqtt}})
    }

    #[test]
    fn the_file_holds_only_what_differs() {
        let mut settings = Settings::default();
        assert_eq!(settings.minimal(), json!({}));
        settings.window.flush_seconds = 60;
        settings.identity_resolution = IdentityResolution::Create;
        settings.capacity.messages_per_second = Some(200);
        settings.source.nats = Some(Nats {
            stream: "DEVICES".to_owned(),
            ..Nats::default()
        });
        let minimal = settings.minimal();
        let expected = json!({
            "source": {"nats": {"stream": "DEVICES"}}, "identityResolution": "Create",
            "window": {"flushSeconds": 60}, "capacity": {"messagesPerSecond": 200}
        });
        assert_eq!(minimal, expected);
        assert_eq!(serde_json::from_value::<Settings>(minimal).unwrap(), settings);
    }

    #[rstest]
    #[case::no_url(json!({"anonymous": true}), "fhirServer.url")]
    #[case::not_http(json!({"anonymous": true, "fhirServer": {"url": "ftp://x"}}), "fhirServer.url")]
    #[case::anyone_and_some(json!({"fhirServer": {"url": "http://x"}, "anonymous": true, "keys": "k"}), "anonymous")]
    #[case::issuer_without_audience(json!({"fhirServer": {"url": "http://x"}, "issuers": [{"authority": "https://i", "audiences": []}]}), "issuers")]
    #[case::issuer_without_url(json!({"fhirServer": {"url": "http://x"}, "issuers": [{"authority": "i", "audiences": ["a"]}]}), "issuers")]
    #[case::nobody_may_send(json!({"fhirServer": {"url": "http://x"}}), "keys")]
    #[case::mqtt_address(with_mqtt(&json!({"address": "broker", "topics": ["t"], "clientId": "c"})), "source.mqtt.address")]
    #[case::mqtt_topics(with_mqtt(&json!({"address": "mqtt://b", "clientId": "c"})), "source.mqtt.topics")]
    #[case::mqtt_client(with_mqtt(&json!({"address": "mqtt://b", "topics": ["t"]})), "source.mqtt.clientId")]
    #[case::mqtt_user(with_mqtt(&json!({"address": "mqtt://b", "topics": ["t"], "clientId": "c", "passwordFile": "p"})), "source.mqtt.usernameFile")]
    #[case::window(json!({"anonymous": true, "fhirServer": {"url": "http://x"}, "window": {"flushSeconds": 901}}), "window.flushSeconds")]
    #[case::capacity(json!({"anonymous": true, "fhirServer": {"url": "http://x"}, "capacity": {"messagesPerSecond": 199}}), "capacity.messagesPerSecond")]
    #[case::dead_letters(json!({"anonymous": true, "fhirServer": {"url": "http://x"}, "deadLetters": {"maxBytes": 0}}), "deadLetters.maxBytes")]
    fn bounds_are_kept(#[case] file: Value, #[case] option: &str) {
        assert_eq!(
            serde_json::from_value::<Settings>(file)
                .unwrap()
                .validate()
                .unwrap_err()
                .option,
            option
        );
    }
}
