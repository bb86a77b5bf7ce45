//! Where messages are kept until their readings are Observations.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NatsServers, SettingsError, Source, nats::OF_SPOOL, refuse};

/// The durable queue between ingest and pipeline, with the dead letters: a file, or streams that several connectors share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spool {
    /// The file; it is created, locked, and kept on a volume
    pub path: PathBuf,
    /// Unfinished messages may take this many bytes; beyond it ingest answers 429 and sources are read no further
    pub max_bytes: u64,
    /// Instead of the file: streams of NATS JetStream, by which several connectors share the work
    pub shared: Option<SharedSpool>,
}

/// Streams of NATS JetStream instead of a file. They are made where they aren't there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SharedSpool {
    /// Names the streams and the store of keys: `NAME`, `NAME_DEAD`, `KV_NAME`, `KV_NAME_REQUESTS`. Connectors with the same
    /// name share the work, and have to have the same source and mappings
    pub name: String,
    /// Names this connector among those that share the work; another one with this name takes its place
    pub member: String,
    /// Copies that the NATS cluster keeps of each stream (1, 3 or 5)
    pub copies: u8,
    /// The servers in whose JetStream the streams are; absent: those of `source.nats`
    pub nats: Option<NatsServers>,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            path: PathBuf::from("iot-connector.spool"),
            max_bytes: 4 << 30,
            shared: None,
        }
    }
}

impl Default for SharedSpool {
    fn default() -> Self {
        Self {
            name: String::new(),
            member: String::new(),
            copies: 1,
            nats: None,
        }
    }
}

impl Spool {
    /// The same kind of spool, with nothing set.
    pub(crate) fn defaults(&self) -> Self {
        let with = |shared: &SharedSpool| SharedSpool {
            nats: shared.nats.as_ref().map(|_| NatsServers::default()),
            ..SharedSpool::default()
        };
        Self {
            shared: self.shared.as_ref().map(with),
            ..Self::default()
        }
    }

    /// Checks what the types alone can't.
    pub(crate) fn validate(&self, source: &Source) -> Result<(), SettingsError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        match (&shared.nats, &source.nats) {
            (Some(_), Some(_)) => {
                return refuse(
                    "spool.shared.nats",
                    "leave it out: the streams are in the JetStream of `source.nats`",
                );
            }
            (Some(servers), None) => servers.validate(&OF_SPOOL)?,
            (None, Some(_)) => {}
            (None, None) => {
                return refuse(
                    "spool.shared.nats",
                    "is required where the source isn't NATS: the servers in whose JetStream the streams are; without a shared spool one connector keeps a file",
                );
            }
        }
        if source.mqtt.is_some() {
            return refuse(
                "spool.shared",
                "a broker keeps a session for one connector: use one with a file, or let the devices publish to NATS, which speaks MQTT",
            );
        }
        if !is_key(&shared.name) {
            return refuse(
                "spool.shared.name",
                "is required: letters, digits, `-` and `_`, the same for all connectors that share the work",
            );
        }
        if !is_key(&shared.member) {
            return refuse(
                "spool.shared.member",
                "is required: letters, digits, `-` and `_`, another one for each connector that shares the work",
            );
        }
        if ![1, 3, 5].contains(&shared.copies) {
            return refuse("spool.shared.copies", "has to be 1, 3 or 5");
        }
        Ok(())
    }
}

/// What JetStream takes as the name of a store and as a key.
fn is_key(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    !name.is_empty() && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const NATS: Option<&str> = Some("nats");

    #[rstest]
    #[case::whole(json!({"name": "ward_vitals", "member": "vitals-0", "copies": 3}), NATS, None)]
    #[case::no_servers(json!({"name": "n", "member": "m"}), None, Some("spool.shared.nats"))]
    #[case::two_servers(json!({"name": "n", "member": "m", "nats": {}}), NATS, Some("spool.shared.nats"))]
    #[case::http(json!({"name": "n", "member": "m", "nats": {"servers": ["nats://b"]}}), None, None)]
    #[case::kafka(json!({"name": "n", "member": "m", "nats": {"servers": ["nats://b"]}}), Some("kafka"), None)]
    #[case::mqtt(json!({"name": "n", "member": "m", "nats": {"servers": ["nats://b"]}}), Some("mqtt"), Some("spool.shared"))]
    #[case::no_address(json!({"name": "n", "member": "m", "nats": {}}), None, Some("spool.shared.nats.servers"))]
    #[case::no_name(json!({"member": "m"}), NATS, Some("spool.shared.name"))]
    #[case::dotted_name(json!({"name": "a.b", "member": "m"}), NATS, Some("spool.shared.name"))]
    #[case::no_member(json!({"name": "n"}), NATS, Some("spool.shared.member"))]
    #[case::copies(json!({"name": "n", "member": "m", "copies": 2}), NATS, Some("spool.shared.copies"))]
    fn a_shared_spool_is_judged(#[case] shared: Value, #[case] source: Option<&str>, #[case] refused: Option<&str>) {
        let spool: Spool = serde_json::from_value(json!({"shared": shared})).unwrap();
        let source = source.map_or(json!({}), |source| json!({source: {}}));
        let source: Source = serde_json::from_value(source).unwrap();
        assert_eq!(spool.validate(&source).err().map(|error| error.option), refused);
    }
}
