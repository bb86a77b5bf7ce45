//! Device keys: made once into a Secret that only devices' owners read; the operator keeps hashes.
//!
//! The operator may `create` Secrets and nothing else, so it can't look whether one is there. The hash is written
//! before the Secret, as a candidate; when the answer to the creation is known, it is confirmed or taken back:
//!
//! 1. [`plan`] says which keys are wanted. 2. Make a random key, [`KeyList::propose`] its hash, apply the ConfigMap.
//! 3. Create the Secret: 201 → [`KeyList::confirm`]; 409 → [`KeyList::conflict`]; no answer → nothing, the next round
//!    proposes another key and both hashes are accepted, of which the Secret holds one.

use fhir_operator_api::Reason;
use iot_connector_settings::{ConnectionKey, ConnectionKeys};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::names::Owner;

/// Key of `NAME-iot-keys` that the connector reads.
pub const KEYS_FILE: &str = "keys.json";
/// Key of `NAME-iot-keys` with what the operator remembers.
const MEMORY_FILE: &str = "generations.json";
/// Key of a Secret that holds the device key.
pub const SECRET_KEY: &str = "key";
/// How long an old key is valid after a new one was made.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// A connection that the spec asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedConnection {
    /// Its name.
    pub connection: String,
    /// Generation of its key.
    pub generation: u32,
    /// The Secret that holds the key.
    pub secret_name: String,
}

impl WantedConnection {
    /// A connection of a connector. The first generation's Secret has the plain name; a later one has its number, with a
    /// dot, which no connection's name contains.
    pub fn new(owner: &Owner, connection: &str, generation: u32) -> Self {
        let plain = owner.child_part(connection);
        Self {
            connection: connection.to_owned(),
            generation,
            secret_name: if generation == 1 {
                plain
            } else {
                format!("{plain}.{generation}")
            },
        }
    }

    /// The Secret to create. It goes with the connector.
    pub fn secret(&self, owner: &Owner, key: &str) -> Secret {
        Secret {
            metadata: owner.metadata(self.secret_name.clone(), "device-key"),
            immutable: Some(true),
            string_data: Some([(SECRET_KEY.to_owned(), key.to_owned())].into()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        }
    }
}

/// The hashes of a connector's keys, as ConfigMap `NAME-iot-keys` holds them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyList {
    /// One entry for each key that was ever proposed and isn't over.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    connection: String,
    generation: u32,
    sha256: String,
    /// Whether the Secret is known to hold this key.
    confirmed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
}

impl KeyList {
    /// What a ConfigMap remembers; an unreadable one is as none, and new keys can't overwrite the Secrets.
    pub fn read(config_map: Option<&ConfigMap>) -> Self {
        let text = config_map
            .and_then(|map| map.data.as_ref())
            .and_then(|data| data.get(MEMORY_FILE));
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The list without keys that are over. Those of connections that are gone are remembered, not accepted: their
    /// Secrets are still there, and such a connection may come back.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> Self {
        let is_over = |entry: &Entry| entry.not_after.is_some_and(|end| end <= now);
        Self {
            entries: self.entries.iter().filter(|entry| !is_over(entry)).cloned().collect(),
        }
    }

    fn accepted<'a>(&'a self, wanted: &'a [WantedConnection]) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(|entry| wanted.iter().any(|one| one.connection == entry.connection))
    }

    /// The connections whose Secret isn't known to exist.
    pub fn missing<'a>(&self, wanted: &'a [WantedConnection]) -> Vec<&'a WantedConnection> {
        wanted
            .iter()
            .filter(|one| !self.entries.iter().any(|entry| entry.is_for(one) && entry.confirmed))
            .collect()
    }

    /// Accepts a key whose Secret is about to be created. Several may be proposed while the answer isn't known.
    pub fn propose(&mut self, wanted: &WantedConnection, sha256: &str) {
        self.entries.push(Entry {
            connection: wanted.connection.clone(),
            generation: wanted.generation,
            sha256: sha256.to_owned(),
            confirmed: false,
            not_after: None,
        });
    }

    /// The Secret was created with this key: other candidates go, and keys of other generations end in 24 hours.
    pub fn confirm(&mut self, wanted: &WantedConnection, sha256: &str, now: Timestamp) {
        self.entries
            .retain(|entry| !entry.is_for(wanted) || entry.sha256 == sha256);
        self.settle(wanted, now);
    }

    /// The Secret existed already. If an earlier proposal is left, its creation was the one that succeeded; if none is,
    /// the Secret isn't ours.
    pub fn conflict(&mut self, wanted: &WantedConnection, sha256: &str, now: Timestamp) -> Result<(), Refusal> {
        self.entries
            .retain(|entry| !(entry.is_for(wanted) && entry.sha256 == sha256));
        if self.entries.iter().any(|entry| entry.is_for(wanted)) {
            self.settle(wanted, now);
            return Ok(());
        }
        Err(Refusal::new(
            Reason::NameTaken,
            format!(
                "Secret `{}` exists and isn't the operator's: remove it, or name connection `{}` otherwise",
                wanted.secret_name, wanted.connection
            ),
        ))
    }

    fn settle(&mut self, wanted: &WantedConnection, now: Timestamp) {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.connection == wanted.connection)
        {
            if entry.generation == wanted.generation {
                entry.confirmed = true;
                entry.not_after = None;
            } else {
                entry.not_after = entry.not_after.or(Some(whole_seconds(now + OVERLAP)));
            }
        }
    }

    /// When the next old key ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.entries.iter().filter_map(|entry| entry.not_after).min()
    }

    /// Whether a connection's Secret is known to exist.
    pub fn holds(&self, wanted: &WantedConnection) -> bool {
        self.entries.iter().any(|entry| entry.is_for(wanted) && entry.confirmed)
    }

    /// `NAME-iot-keys`: what the connector reads and what the operator remembers.
    pub fn config_map(&self, owner: &Owner, wanted: &[WantedConnection]) -> ConfigMap {
        let keys = ConnectionKeys {
            keys: self
                .accepted(wanted)
                .map(|entry| ConnectionKey {
                    connection: entry.connection.clone(),
                    sha256: entry.sha256.clone(),
                    not_after: entry.not_after.map(|end| end.to_string()),
                })
                .collect(),
        };
        // Plain structs of texts always serialise.
        let text = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        ConfigMap {
            metadata: owner.metadata(owner.child_part("keys"), "configuration"),
            data: Some(
                [
                    (KEYS_FILE.to_owned(), text(serde_json::to_string_pretty(&keys))),
                    (MEMORY_FILE.to_owned(), text(serde_json::to_string_pretty(self))),
                ]
                .into(),
            ),
            ..ConfigMap::default()
        }
    }
}

impl Entry {
    fn is_for(&self, wanted: &WantedConnection) -> bool {
        self.connection == wanted.connection && self.generation == wanted.generation
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(generation: u32) -> WantedConnection {
        let secret_name = if generation == 1 {
            "vitals-iot-ward".to_owned()
        } else {
            format!("vitals-iot-ward.{generation}")
        };
        WantedConnection {
            connection: "ward".to_owned(),
            generation,
            secret_name,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn valid(list: &KeyList) -> Vec<&str> {
        let wanted = [wanted(1)];
        let accepted: Vec<String> = list.accepted(&wanted).map(|entry| entry.sha256.clone()).collect();
        list.entries
            .iter()
            .map(|entry| entry.sha256.as_str())
            .filter(|one| accepted.iter().any(|two| two == one))
            .collect()
    }

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_created_secret_confirms_its_key() {
        let mut list = KeyList::default();
        assert_eq!(list.missing(&[wanted(1)]).len(), 1);
        list.propose(&wanted(1), "a");
        assert!(!list.holds(&wanted(1)));
        list.confirm(&wanted(1), "a", at(NOW));
        assert!(list.missing(&[wanted(1)]).is_empty());
    }

    #[test]
    fn a_lost_answer_keeps_the_candidate_that_can_be_the_one() {
        let mut list = KeyList::default();
        list.propose(&wanted(1), "lost");
        list.propose(&wanted(1), "second");
        list.conflict(&wanted(1), "second", at(NOW)).unwrap();
        assert_eq!(valid(&list), ["lost"]);
        assert!(list.holds(&wanted(1)));
    }

    #[test]
    fn a_secret_of_somebody_else_is_told() {
        let mut list = KeyList::default();
        list.propose(&wanted(1), "a");
        assert_eq!(
            list.conflict(&wanted(1), "a", at(NOW)).unwrap_err().reason,
            Reason::NameTaken
        );
        assert_eq!(valid(&list), Vec::<&str>::new());
    }

    #[test]
    fn an_old_key_is_valid_for_a_day_more() {
        let mut list = KeyList::default();
        list.propose(&wanted(1), "old");
        list.confirm(&wanted(1), "old", at(NOW));
        list.propose(&wanted(2), "new");
        list.confirm(&wanted(2), "new", at(NOW));
        assert_eq!(valid(&list), ["old", "new"]);
        assert_eq!(list.next_end(), Some(at("2026-01-02T00:00:00Z")));
        assert_eq!(valid(&list.current(at("2026-01-01T23:59:59Z"))), ["old", "new"]);
        assert_eq!(valid(&list.current(at("2026-01-02T00:00:00Z"))), ["new"]);
        assert_eq!(list.accepted(&[]).count(), 0);
    }
}
