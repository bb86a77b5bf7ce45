//! What is in the shared streams: a head in JSON and the device's bytes behind it.
//!
//! An entry holds the measurements of one message for one bucket; the message itself comes with it for the dead letter that
//! it may become. Exactly one entry of a message counts it.

use std::sync::Arc;

use bytes::Bytes;
use iot_mapping::{BUCKETS, Measurement, Order, bucket, hash};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    normalise::{Measured, Outcome},
    spool::{Account, Fault, Micros, Term},
};

/// The form of an entry; a reader knows its own and those before.
const PLAIN: u8 = 1;
/// As [`PLAIN`], what follows is compressed by zstd.
const COMPRESSED: u8 = 2;
/// Longer ones are compressed: servers take messages of 1 MiB by default.
const LONG: usize = 64 << 10;
/// What a compressed one may become, against bombs.
const LARGEST: usize = 64 << 20;

/// A message as it came, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its order among readings.
    pub order: Order,
    /// Whether it was a dead letter before.
    pub replay: bool,
    /// JSON text of an object with `Properties` and `SystemProperties`.
    pub context: Arc<str>,
    /// The device's bytes.
    pub body: Bytes,
}

/// The part of a message that belongs to one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The message.
    pub raw: Raw,
    /// How the message counts; one of its entries says so.
    pub outcome: Option<Outcome>,
    /// What could not be made of it; with that same entry.
    pub faults: Vec<Fault>,
    /// Measurements of the bucket's devices.
    pub measurements: Vec<Measurement>,
}

impl Entry {
    /// What the message counts in this part.
    pub fn account(&self) -> Account {
        match self.outcome {
            Some(outcome) => Account::of(&[(Term::Messages, 1), (outcome.term(), 1)]),
            None => Account::default(),
        }
    }

    /// The bytes of it.
    pub fn encode(&self) -> Vec<u8> {
        let head = Head {
            received: self.raw.order.received,
            position: self.raw.order.position,
            replay: self.raw.replay,
            outcome: self.outcome,
            faults: self.faults.clone(),
            measurements: self.measurements.iter().map(Reading::of).collect(),
            context: self.raw.context.to_string(),
        };
        join(&head, &self.raw.body)
    }

    /// An entry from its bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self, Unreadable> {
        let (head, body) = split::<Head>(bytes)?;
        let measurements = head.measurements.into_iter().map(Reading::into_measurement);
        Ok(Self {
            raw: Raw {
                order: Order {
                    received: head.received,
                    position: head.position,
                },
                replay: head.replay,
                context: head.context.into(),
                body,
            },
            outcome: head.outcome,
            faults: head.faults,
            measurements: measurements.collect::<Result<_, _>>()?,
        })
    }
}

/// Spreads what a message gave over the buckets of its devices, in the order of the buckets; at least one.
pub fn spread(raw: &Raw, measured: Measured) -> Vec<(u32, Entry)> {
    let mut parts: Vec<(u32, Entry)> = Vec::new();
    let part = |bucket| {
        let entry = Entry {
            raw: raw.clone(),
            outcome: None,
            faults: Vec::new(),
            measurements: Vec::new(),
        };
        (bucket, entry)
    };
    for measurement in measured.measurements {
        let own = bucket(&measurement.device);
        let at = parts
            .binary_search_by_key(&own, |(bucket, _)| *bucket)
            .unwrap_or_else(|at| {
                parts.insert(at, part(own));
                at
            });
        parts[at].1.measurements.push(measurement);
    }
    if parts.is_empty() {
        parts.push(part(hash(&raw.order.position.to_string(), BUCKETS)));
    }
    let first = &mut parts[0].1;
    first.outcome = Some(measured.outcome);
    first.faults = measured.faults;
    parts
}

/// Bytes that aren't what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// A head and what follows it, as bytes.
pub fn join(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    // Plain structs of texts and numbers always serialise.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = Vec::with_capacity(1 + length.len() + head.len() + body.len());
    bytes.push(PLAIN);
    bytes.extend(length);
    bytes.extend(head);
    bytes.extend(body);
    if bytes.len() > LONG
        && let Ok(compressed) = zstd::bulk::compress(&bytes[1..], 1)
        && compressed.len() < bytes.len()
    {
        bytes.truncate(0);
        bytes.push(COMPRESSED);
        bytes.extend(compressed);
    }
    bytes
}

/// A head and what follows it, from bytes.
pub fn split<H: DeserializeOwned>(bytes: &Bytes) -> Result<(H, Bytes), Unreadable> {
    let unreadable = |reason: &str| Unreadable(reason.to_owned());
    let rest = match bytes.first() {
        Some(&PLAIN) => bytes.slice(1..),
        Some(&COMPRESSED) => zstd::bulk::decompress(&bytes[1..], LARGEST)
            .map_err(|error| Unreadable(error.to_string()))?
            .into(),
        Some(form) => return Err(Unreadable(format!("form {form} is of a newer release: use that one"))),
        None => return Err(unreadable("it is empty")),
    };
    let (length, _) = rest
        .split_first_chunk::<4>()
        .ok_or_else(|| unreadable("it is cut off"))?;
    let end = 4_usize.saturating_add(u32::from_be_bytes(*length) as usize);
    let head = rest.get(4..end).ok_or_else(|| unreadable("it is cut off"))?;
    let head = serde_json::from_slice(head).map_err(|error| Unreadable(error.to_string()))?;
    Ok((head, rest.slice(end..)))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    received: Micros,
    position: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replay: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    measurements: Vec<Reading>,
    context: String,
}

/// A measurement as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reading {
    #[serde(rename = "type")]
    type_name: String,
    occurrence: String,
    device: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patient: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encounter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    values: Vec<(String, String)>,
}

impl Reading {
    fn of(measurement: &Measurement) -> Self {
        let values = measurement.values.iter();
        Self {
            type_name: measurement.type_name.to_string(),
            occurrence: measurement.occurrence.to_string(),
            device: measurement.device.to_string(),
            patient: measurement.patient.clone(),
            encounter: measurement.encounter.clone(),
            correlation: measurement.correlation.clone(),
            values: values.map(|(name, value)| (name.to_string(), value.clone())).collect(),
        }
    }

    fn into_measurement(self) -> Result<Measurement, Unreadable> {
        let occurrence: Timestamp = self
            .occurrence
            .parse()
            .map_err(|error: jiff::Error| Unreadable(error.to_string()))?;
        let values = self.values.into_iter();
        Ok(Measurement {
            type_name: self.type_name.into(),
            occurrence,
            device: self.device.into(),
            patient: self.patient,
            encounter: self.encounter,
            correlation: self.correlation,
            values: values.map(|(name, value)| (name.into(), value)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::spool::Stage;

    fn raw(body: &'static [u8]) -> Raw {
        Raw {
            order: Order {
                received: 1_790_000_000_000_000,
                position: 7,
            },
            replay: false,
            context: "{\"Properties\":{}}".into(),
            body: Bytes::from_static(body),
        }
    }

    fn of(device: &str, value: &str) -> Measurement {
        Measurement {
            type_name: "heartrate".into(),
            occurrence: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
            device: device.into(),
            patient: Some("p".to_owned()),
            encounter: None,
            correlation: Some("c".to_owned()),
            values: vec![("hr".into(), value.to_owned())],
        }
    }

    fn fault() -> Fault {
        Fault {
            stage: Stage::Normalise,
            reason: "IncompatibleData".to_owned(),
            detail: "no \"value\"".to_owned(),
            template: None,
            path: Some("$.x".to_owned()),
        }
    }

    #[test]
    fn every_measurement_is_in_the_bucket_of_its_device_and_one_part_counts_the_message() {
        let measurements = vec![of("a", "1"), of("b", "2"), of("A", "3")];
        let measured = Measured {
            outcome: Outcome::Matched,
            faults: vec![fault()],
            measurements: measurements.clone(),
        };
        let parts = spread(&raw(b"{}"), measured);
        let buckets: Vec<u32> = parts.iter().map(|(bucket, _)| *bucket).collect();
        assert_eq!(buckets, [bucket("a"), bucket("b")]);
        assert_eq!(
            parts[0].1.measurements,
            [measurements[0].clone(), measurements[2].clone()]
        );
        assert_eq!(parts[1].1.measurements, [measurements[1].clone()]);
        let counted: Vec<_> = parts
            .iter()
            .map(|(_, part)| (part.outcome, part.faults.len()))
            .collect();
        assert_eq!(counted, [(Some(Outcome::Matched), 1), (None, 0)]);
    }

    #[test]
    fn a_message_without_a_measurement_is_somewhere_too() {
        let measured = Measured {
            outcome: Outcome::Unmatched,
            faults: Vec::new(),
            measurements: Vec::new(),
        };
        let [(bucket, entry)] = &spread(&raw(b"{}"), measured)[..] else {
            panic!("one part")
        };
        assert!(*bucket < BUCKETS);
        let expected = Account::of(&[(Term::Messages, 1), (Term::Unmatched, 1)]);
        assert_eq!(entry.account(), expected);
    }

    #[rstest]
    #[case::short(1)]
    #[case::long(LONG * 2)]
    fn an_entry_survives_its_bytes(#[case] length: usize) {
        let mut entry = Entry {
            raw: raw(b"not JSON \xff"),
            outcome: Some(Outcome::Dead),
            faults: vec![fault()],
            measurements: vec![of("d", "61")],
        };
        entry.raw.replay = true;
        entry.raw.body = vec![b' '; length].into();
        let bytes = Bytes::from(entry.encode());
        assert!(bytes.len() < LONG);
        assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[rstest]
    #[case::empty(b"", "it is empty")]
    #[case::newer(b"\x09", "form 9 is of a newer release: use that one")]
    #[case::short(b"\x01\x00", "it is cut off")]
    #[case::cut(b"\x01\x00\x00\x00\x09{}", "it is cut off")]
    fn what_is_no_entry_is_said(#[case] bytes: &'static [u8], #[case] expected: &str) {
        let error = Entry::decode(&Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
