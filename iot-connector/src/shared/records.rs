//! What the store of keys holds: members that show themselves, a record for each bucket, and one for each partition.

use std::collections::BTreeMap;

use bytes::Bytes;
use iot_mapping::BUCKETS;
use serde::{Deserialize, Serialize};

use super::lease::Owner;
use crate::spool::{Account, Term};

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A member, by name.
    Member(String),
    /// A bucket.
    Bucket(u32),
    /// A partition of Kafka, by name.
    Partition(String),
}

impl Key {
    /// As the store writes it.
    pub fn text(&self) -> String {
        match self {
            Self::Member(name) => format!("member.{name}"),
            Self::Bucket(bucket) => format!("bucket.{bucket}"),
            // A key may not have two dots in a row, and a topic may.
            Self::Partition(name) => format!("partition.{}", name.replace('.', "=")),
        }
    }

    /// What a key of the store says; nothing for those of a newer release.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("member.") {
            return Some(Self::Member(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("partition.") {
            return Some(Self::Partition(name.replace('=', ".")));
        }
        let bucket: u32 = text.strip_prefix("bucket.")?.parse().ok()?;
        (bucket < BUCKETS).then_some(Self::Bucket(bucket))
    }
}

/// Who has a bucket, and how far it is. Its revision in the store is the fencing number: whoever lost the bucket can't
/// store any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The process; nobody where it was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// All entries up to here are finished.
    pub floor: u64,
    /// When the stream was made that the floor is of: one that was made anew counts from 1 again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// What became of them.
    #[serde(with = "terms")]
    pub account: Account,
}

impl Record {
    /// The bytes of it.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// A record from its bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Who reads a partition, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Whoever reads it, or did last.
    pub owner: Owner,
    /// All before this offset is in the stream of entries; `None` where nothing was read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl Reading {
    /// The bytes of it.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

fn encode(record: &impl Serialize) -> Bytes {
    // Plain structs of texts and numbers always serialise.
    serde_json::to_vec(record).unwrap_or_default().into()
}

/// The figures of an account by the names of their terms.
mod terms {
    use super::{Account, BTreeMap, Deserialize, Serialize, Term};

    pub fn serialize<S: serde::Serializer>(account: &Account, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = Term::ALL.into_iter().map(|term| (term.name(), account.get(term)));
        let figures: BTreeMap<_, _> = figures.filter(|(_, count)| *count > 0).collect();
        figures.serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Account, D::Error> {
        let figures = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut account = Account::default();
        for term in Term::ALL {
            account.add(term, figures.get(term.name()).copied().unwrap_or_default());
        }
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_bytes() {
        let record = Record {
            owner: Some(Owner {
                member: "vitals-0".to_owned(),
                instance: "7".to_owned(),
            }),
            floor: 12,
            stream: "2026-01-01T00:00:00Z".to_owned(),
            account: Account::of(&[(Term::Messages, 2), (Term::Matched, 2)]),
        };
        let text = r#"{"owner":{"member":"vitals-0","instance":"7"},"floor":12,"stream":"2026-01-01T00:00:00Z","account":{"matched":2,"messages":2}}"#;
        assert_eq!(record.encode(), text);
        assert_eq!(Record::decode(text.as_bytes()), Some(record));
        assert_eq!(Record::decode(br#"{"floor":0,"account":{}}"#), Some(Record::default()));
    }

    #[test]
    fn keys_are_told_apart() {
        let partition = Key::Partition("ward..vitals/0".to_owned());
        assert_eq!(partition.text(), "partition.ward==vitals/0");
        for key in [
            Key::Member("vitals-0".to_owned()),
            Key::Bucket(0),
            Key::Bucket(255),
            partition,
        ] {
            assert_eq!(Key::parse(&key.text()), Some(key));
        }
        for text in ["bucket.256", "bucket.x", "other"] {
            assert_eq!(Key::parse(text), None);
        }
    }
}
