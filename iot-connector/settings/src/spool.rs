//! Where messages are kept until their readings are Observations.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SettingsError, Source};

/// The durable queue between ingest and pipeline, with the dead letters: a file, or streams that several connectors share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spool {
    /// The file; it is created, locked, and kept on a volume
    pub path: PathBuf,
    /// Unfinished messages may take this many bytes; beyond it ingest answers 429 and sources are read no further
    pub max_bytes: u64,
    /// Instead of the file: streams of the source's NATS JetStream, by which several connectors share the work
    pub shared: Option<SharedSpool>,
}

/// Streams of the source's NATS JetStream instead of a file. They are made where they aren't there.
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
        }
    }
}

impl Spool {
    /// The same kind of spool, with nothing set.
    pub(crate) fn defaults(&self) -> Self {
        Self {
            shared: self.shared.as_ref().map(|_| SharedSpool::default()),
            ..Self::default()
        }
    }

    /// Checks what the types alone can't.
    pub(crate) fn validate(&self, source: &Source) -> Result<(), SettingsError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let refuse = |option, reason: &str| {
            Err(SettingsError {
                option,
                reason: reason.to_owned(),
            })
        };
        if source.nats.is_none() {
            return refuse(
                "spool.shared",
                "needs `source.nats`, in whose JetStream the streams are; without it leave this out, and one connector keeps a file",
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
    use crate::Nats;

    #[rstest]
    #[case::whole(json!({"name": "ward_vitals", "member": "vitals-0", "copies": 3}), true, None)]
    #[case::no_source(json!({"name": "n", "member": "m"}), false, Some("spool.shared"))]
    #[case::no_name(json!({"member": "m"}), true, Some("spool.shared.name"))]
    #[case::dotted_name(json!({"name": "a.b", "member": "m"}), true, Some("spool.shared.name"))]
    #[case::no_member(json!({"name": "n"}), true, Some("spool.shared.member"))]
    #[case::copies(json!({"name": "n", "member": "m", "copies": 2}), true, Some("spool.shared.copies"))]
    fn a_shared_spool_is_judged(#[case] shared: Value, #[case] has_source: bool, #[case] refused: Option<&str>) {
        let spool: Spool = serde_json::from_value(json!({"shared": shared})).unwrap();
        let source = Source {
            nats: has_source.then(Nats::default),
            ..Source::default()
        };
        assert_eq!(spool.validate(&source).err().map(|error| error.option), refused);
    }
}
