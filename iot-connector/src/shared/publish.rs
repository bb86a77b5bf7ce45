//! Messages into the streams: normalised, spread over the buckets, and there for good when this returns.

use async_nats::jetstream::{kv::CreateErrorKind, message::PublishMessage};
use bytes::Bytes;
use futures::future::try_join_all;
use iot_mapping::Order;
use sha2::{Digest, Sha256};

use super::{
    Shared,
    entry::{Entry, Raw, spread},
    scan::failed,
};
use crate::{
    normalise::{Measured, Outcome, measure},
    pipeline::now,
    spool::{Appended, Fault, Ids, Micros, NewMessage, Place, RequestKey, SpoolError, Stage},
    store::Arrival,
};

/// Messages that are published together: so many answers are waited for at once.
const TOGETHER: usize = 500;
/// What a message takes on its way beside its bytes.
const MARGIN: usize = 1024;

/// A message, and what it is recognised by when it is published again.
pub(super) struct Named {
    pub name: Option<String>,
    pub raw: Raw,
}

/// An entry on its way.
struct Parcel {
    bucket: u32,
    name: Option<String>,
    bytes: Bytes,
    /// It counts its message.
    counts: bool,
}

impl Shared {
    /// Messages of anyone.
    pub async fn append(&self, messages: Vec<NewMessage>, received: Micros) -> Result<Appended, SpoolError> {
        let named = self.named(messages, received, |_| None);
        let ids = ids(&named);
        self.publish(named).await?;
        Ok(Appended::Stored { repeated: 0, ids })
    }

    /// Messages of a request that its sender may repeat.
    pub async fn append_once(
        &self,
        key: RequestKey,
        messages: Vec<NewMessage>,
        received: Micros,
    ) -> Result<Appended, SpoolError> {
        let streams = self.streams()?;
        let requests = &streams.requests;
        let (id, digest) = (hex(&key.id), hex(&key.digest));
        if let Some(before) = requests.get(id.as_str()).await.map_err(|error| failed(&error))? {
            return Ok(Self::before(&before, &digest));
        }
        let named = self.named(messages, received, |number| Some(format!("{id}.{number}")));
        let (count, ids) = (named.len(), ids(&named));
        let first = ids.map_or(0, |ids| ids.first);
        // Where this ends in the middle, the repeated request brings what is missing.
        self.publish(named).await?;
        match requests.create(&id, format!("{digest} {count} {first}").into()).await {
            Ok(_) => Ok(Appended::Stored { repeated: 0, ids }),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                let before = requests.get(id.as_str()).await.map_err(|error| failed(&error))?;
                Ok(Self::before(&before.unwrap_or_default(), &digest))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// What is said to a request that was taken in before.
    fn before(stored: &[u8], digest: &str) -> Appended {
        let stored = String::from_utf8_lossy(stored);
        let mut parts = stored.split(' ');
        if parts.next() != Some(digest) {
            return Appended::OtherRequest;
        }
        let mut number = || parts.next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let (count, first): (i64, i64) = (number(), number());
        let ids = (count > 0 && first > 0).then(|| Ids {
            first,
            last: first + count - 1,
        });
        Appended::Before {
            count: count.unsigned_abs(),
            ids,
        }
    }

    /// Messages of the source.
    pub async fn append_of(&self, arrivals: Vec<Arrival>, received: Micros) -> Result<Appended, SpoolError> {
        let mut orders = self.orders(received, arrivals.len());
        let named = arrivals.into_iter().map(|arrival| {
            let order = arrival.order.or(orders.next()).unwrap_or_default();
            let received = order.received;
            Named {
                name: arrival.position.map(|position| match position.place {
                    Place::Id(id) => hex(&Sha256::digest(id)),
                    // The time tells topics apart that were made anew.
                    Place::Offset { partition, offset } => format!("{partition}.{offset}.{received}"),
                }),
                raw: raw(arrival.message, order),
            }
        });
        let repeated = self.publish(named.collect()).await?;
        Ok(Appended::Stored { repeated, ids: None })
    }

    fn named(&self, messages: Vec<NewMessage>, received: Micros, name: impl Fn(usize) -> Option<String>) -> Vec<Named> {
        let orders = self.orders(received, messages.len());
        let named = messages
            .into_iter()
            .zip(orders)
            .enumerate()
            .map(|(number, (message, order))| Named {
                name: name(number),
                raw: raw(message, order),
            });
        named.collect()
    }

    /// Publishes messages; gives how many of them were there before.
    pub(super) async fn publish(&self, messages: Vec<Named>) -> Result<u64, SpoolError> {
        let mut repeated = 0;
        let mut rest = messages.into_iter();
        loop {
            let some: Vec<Named> = rest.by_ref().take(TOGETHER).collect();
            if some.is_empty() {
                return Ok(repeated);
            }
            repeated += self.publish_together(some).await?;
        }
    }

    async fn publish_together(&self, messages: Vec<Named>) -> Result<u64, SpoolError> {
        let streams = self.streams()?;
        let pair = self.mappings.borrow().clone().ok_or(SpoolError::NoMappings)?;
        let metrics = self.metrics.clone();
        let largest = streams
            .context
            .client()
            .server_info()
            .max_payload
            .saturating_sub(MARGIN);
        let parcels = tokio::task::spawn_blocking(move || {
            let mut parcels = Vec::with_capacity(messages.len());
            for Named { name, raw } in messages {
                let measured = measure(&pair, &raw.body, &raw.context, &metrics, now(), raw.order.received);
                parcels.extend(pack(&raw, measured, name.as_deref(), largest));
            }
            parcels
        });
        let parcels = parcels.await.map_err(|error| SpoolError::Shared(error.to_string()))?;
        let mut answers = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let mut publish = PublishMessage::build().payload(parcel.bytes);
            if let Some(name) = parcel.name {
                publish = publish.message_id(name);
            }
            let sent = streams
                .context
                .send_publish(streams.bucket(parcel.bucket), publish)
                .await;
            let answer = sent.map_err(|error| failed(&error))?;
            let counts = parcel.counts;
            answers.push(async move { answer.await.map(|answer| answer.duplicate && counts) });
        }
        let answers = try_join_all(answers).await.map_err(|error| failed(&error))?;
        Ok(answers.into_iter().filter(|repeated| *repeated).count() as u64)
    }
}

/// The ids of messages whose positions are in a row.
fn ids(messages: &[Named]) -> Option<Ids> {
    let position = |message: &Named| message.raw.order.position;
    Some(Ids {
        first: messages.first().map(position)?,
        last: messages.last().map(position)?,
    })
}

fn raw(message: NewMessage, order: Order) -> Raw {
    Raw {
        order,
        replay: false,
        context: message.context,
        body: message.body,
    }
}

/// The parcels of a message. One that is larger than the server takes, compressed, is a dead letter without its bytes.
fn pack(raw: &Raw, measured: Measured, name: Option<&str>, largest: usize) -> Vec<Parcel> {
    let parts = spread(raw, measured);
    let encoded: Vec<(u32, bool, Vec<u8>)> = parts
        .iter()
        .map(|(bucket, part)| (*bucket, part.outcome.is_some(), part.encode()))
        .collect();
    let encoded = if encoded.iter().all(|(_, _, bytes)| bytes.len() <= largest) {
        encoded
    } else {
        vec![(parts[0].0, true, too_large(raw, largest).encode())]
    };
    let parcel = |(bucket, counts, bytes): (u32, bool, Vec<u8>)| Parcel {
        bucket,
        name: name.map(|name| format!("{name}.{bucket}")),
        bytes: bytes.into(),
        counts,
    };
    encoded.into_iter().map(parcel).collect()
}

fn too_large(raw: &Raw, largest: usize) -> Entry {
    let fault = Fault {
        stage: Stage::Normalise,
        reason: "TooLarge".to_owned(),
        detail: format!(
            "the message has {} bytes, and with its measurements it is larger than the {largest} that the NATS server takes: raise its `max_payload`, and send it again",
            raw.body.len()
        ),
        template: None,
        path: None,
    };
    Entry {
        raw: Raw {
            body: Bytes::new(),
            ..raw.clone()
        },
        outcome: Some(Outcome::Dead),
        faults: vec![fault],
        measurements: Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn message(body: Vec<u8>) -> (Raw, Measured) {
        let raw = Raw {
            order: Order {
                received: 5,
                position: 7,
            },
            replay: false,
            context: "{}".into(),
            body: body.into(),
        };
        let measured = Measured {
            outcome: Outcome::Unmatched,
            faults: Vec::new(),
            measurements: Vec::new(),
        };
        (raw, measured)
    }

    #[rstest]
    #[case::fits(vec![b'a'; 1000], Outcome::Unmatched, 1000)]
    #[case::fits_compressed(vec![b'a'; 500_000], Outcome::Unmatched, 500_000)]
    #[case::fits_in_no_way(noise(500_000), Outcome::Dead, 0)]
    fn what_the_server_does_not_take_is_a_dead_letter(
        #[case] body: Vec<u8>,
        #[case] outcome: Outcome,
        #[case] kept: usize,
    ) {
        let (raw, measured) = message(body);
        let parcels = pack(&raw, measured, Some("n"), 100_000);
        let [parcel] = &parcels[..] else { panic!("one parcel") };
        assert!(parcel.bytes.len() <= 100_000 && parcel.counts);
        assert_eq!(parcel.name, Some(format!("n.{}", parcel.bucket)));
        let entry = Entry::decode(&parcel.bytes).unwrap();
        assert_eq!((entry.outcome, entry.raw.body.len()), (Some(outcome), kept));
        let reasons: Vec<&str> = entry.faults.iter().map(|fault| fault.reason.as_str()).collect();
        let expected: &[&str] = if outcome == Outcome::Dead { &["TooLarge"] } else { &[] };
        assert_eq!(reasons, expected);
    }

    /// Bytes that nothing compresses.
    fn noise(length: usize) -> Vec<u8> {
        (0..=length / 32)
            .flat_map(|block| Sha256::digest(block.to_be_bytes()))
            .take(length)
            .collect()
    }

    #[rstest]
    #[case::the_same(b"ab 2 17", Appended::Before { count: 2, ids: Some(Ids { first: 17, last: 18 }) })]
    #[case::of_nothing(b"ab 0 0", Appended::Before { count: 0, ids: None })]
    #[case::other(b"cd 2 17", Appended::OtherRequest)]
    #[case::unreadable(b"", Appended::OtherRequest)]
    fn a_repeated_request_is_told_what_was_told_first(#[case] stored: &[u8], #[case] expected: Appended) {
        assert_eq!(Shared::before(stored, "ab"), expected);
    }
}
