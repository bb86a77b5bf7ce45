//! Dead letters in a stream of their own: put there before the entry counts as finished, read in their order.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use async_nats::jetstream::{message::PublishMessage, stream::DirectGetErrorKind};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use iot_mapping::Order;
use serde::{Deserialize, Serialize};

use super::{
    Lost, Shared,
    entry::{self, Entry, Raw},
    publish::Named,
    scan::{Scan, failed},
    streams::Streams,
    traces,
};
use crate::{
    pipeline::now,
    spool::{DeadLetter, DeadLetterFilter, Fault, Finished, Micros, SpoolError},
};

/// Entries whose dead letters are stored at the same time.
const TOGETHER: usize = 64;

/// A dead letter but for the device's bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    died: Micros,
    received: Micros,
    position: i64,
    #[serde(flatten)]
    fault: Fault,
    context: String,
}

/// Ends entries that are handed over: their dead letters are stored first. Returns when that can't be done any more.
pub(super) async fn end_all(shared: &Shared, streams: &Streams) -> Lost {
    let mut finished = shared.finished.lock().await;
    let mut burials = FuturesUnordered::new();
    loop {
        let message = tokio::select! {
            Some(buried) = burials.next(), if !burials.is_empty() => {
                if let Err(lost) = buried {
                    return lost;
                }
                continue;
            }
            message = finished.recv(), if burials.len() < TOGETHER => message,
        };
        let Some(message) = message else {
            return Lost("nothing more is handed over".to_owned());
        };
        shared.ending.fetch_sub(1, Ordering::AcqRel);
        let seq = message.seq.unsigned_abs();
        // Whoever has the bucket now finds the same, and ends it.
        let Some((bucket, entry)) = shared.hand.open(seq) else {
            continue;
        };
        traces::keep(streams, &shared.trace, bucket, &message, &entry).await;
        if message.faults.is_empty() {
            shared.hand.finish(seq, message.account);
        } else {
            burials.push(end(shared, streams, message, entry));
        }
    }
}

async fn end(shared: &Shared, streams: &Streams, message: Finished, entry: Arc<Entry>) -> Result<(), Lost> {
    bury(streams, &message, &entry).await?;
    shared.hand.finish(message.seq.unsigned_abs(), message.account);
    Ok(())
}

async fn bury(streams: &Streams, message: &Finished, entry: &Entry) -> Result<(), Lost> {
    let failed = |error: &dyn std::fmt::Display| Lost(format!("a dead letter can't be stored: {error}"));
    for (number, fault) in message.faults.iter().enumerate() {
        let Order { received, position } = entry.raw.order;
        let head = Head {
            died: now(),
            received,
            position,
            fault: fault.clone(),
            context: entry.raw.context.to_string(),
        };
        // The same letter has the same subject, where there is one only. The time tells streams apart that were made anew.
        let subject = format!("{}.dead.{position}.{received}.{}.{number}", streams.name, message.seq);
        let publish = PublishMessage::build().payload(entry::join(&head, &entry.raw.body).into());
        let sent = streams.context.send_publish(subject, publish).await;
        let sent = sent.map_err(|error| failed(&error))?;
        sent.await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

impl Shared {
    /// Dead letters after an id, oldest first, without their payloads.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, SpoolError> {
        let found = self.scan(filter, after, limit).await?;
        let headless = |letter| DeadLetter {
            body: None,
            context: None,
            ..letter
        };
        Ok(found.into_iter().map(headless).collect())
    }

    /// One dead letter with its payload.
    pub async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, SpoolError> {
        let streams = self.streams()?;
        match streams.letters.direct_get(id.unsigned_abs()).await {
            Ok(message) => Ok(Some(letter(message.sequence, &message.payload)?)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Publishes dead letters anew and deletes them; gives how many there were.
    pub async fn replay(&self, filter: &DeadLetterFilter) -> Result<u64, SpoolError> {
        let streams = self.streams()?;
        let found = self.scan(filter, 0, u32::MAX).await?;
        self.publish(messages_of(&found)).await?;
        // What else failed of these messages is tried again with them, and would be there twice.
        let all = DeadLetterFilter::default();
        let mut others = match filter.id {
            Some(_) => self.parts_of(&found).await?,
            None if *filter == all => Vec::new(),
            None => self.scan(&all, 0, u32::MAX).await?,
        };
        let (messages, ids): (HashSet<_>, HashSet<_>) =
            found.iter().map(|letter| (identity(letter), letter.id)).unzip();
        others.retain(|other| messages.contains(&identity(other)) && !ids.contains(&other.id));
        let deleted = delete(&streams, &found).await?;
        delete(&streams, &others).await?;
        Ok(deleted)
    }

    /// All letters of the messages of some.
    async fn parts_of(&self, letters: &[DeadLetter]) -> Result<Vec<DeadLetter>, SpoolError> {
        let mut parts = Vec::new();
        for letter in letters {
            parts.extend(self.letters_of(letter.position).await?);
        }
        Ok(parts)
    }

    /// Deletes dead letters; gives how many there were.
    pub async fn discard(&self, filter: &DeadLetterFilter) -> Result<u64, SpoolError> {
        let found = self.scan(filter, 0, u32::MAX).await?;
        let streams = self.streams()?;
        delete(&streams, &found).await
    }

    /// Reads through the stream.
    async fn scan(&self, filter: &DeadLetterFilter, after: i64, limit: u32) -> Result<Vec<DeadLetter>, SpoolError> {
        let streams = self.streams()?;
        if let Some(id) = filter.id {
            let found = self.dead_letter(id).await?;
            return Ok(found.into_iter().filter(|letter| matches(filter, letter)).collect());
        }
        let mut letters = Scan::from(&streams.letters, after.unsigned_abs() + 1, None).await?;
        let mut found = Vec::new();
        while found.len() < limit as usize
            && let Some(next) = letters.next().await?
        {
            let letter = letter(next.seq, &next.payload)?;
            if matches(filter, &letter) {
                found.push(letter);
            }
        }
        Ok(found)
    }

    /// Those of a message, oldest first.
    pub(super) async fn letters_of(&self, message: i64) -> Result<Vec<DeadLetter>, SpoolError> {
        let streams = self.streams()?;
        let subject = format!("{}.dead.{message}.>", streams.name);
        let mut letters = Scan::from(&streams.letters, 1, Some(subject)).await?;
        let mut found = Vec::new();
        while let Some(next) = letters.next().await? {
            found.push(letter(next.seq, &next.payload)?);
        }
        Ok(found)
    }
}

/// What tells the message of a dead letter from others.
fn identity(letter: &DeadLetter) -> (Micros, i64, Option<&str>, Option<&[u8]>) {
    (
        letter.received,
        letter.position,
        letter.context.as_deref(),
        letter.body.as_deref(),
    )
}

/// The messages of dead letters, each once, though several of its parts may have failed. Two that different members took in
/// within the same microsecond have the same order; what they say tells them apart.
fn messages_of(letters: &[DeadLetter]) -> Vec<Named> {
    let mut seen = HashSet::new();
    let mut messages = Vec::new();
    for letter in letters {
        if !seen.insert(identity(letter)) {
            continue;
        }
        messages.push(Named {
            name: Some(format!("replay.{}", letter.id)),
            raw: Raw {
                order: Order {
                    received: letter.received,
                    position: letter.position,
                },
                replay: true,
                context: letter.context.as_deref().unwrap_or_default().into(),
                body: Bytes::copy_from_slice(letter.body.as_deref().unwrap_or_default()),
            },
        });
    }
    messages
}

async fn delete(streams: &Streams, letters: &[DeadLetter]) -> Result<u64, SpoolError> {
    let mut deleted = 0;
    for letter in letters {
        let gone = streams.letters.delete_message(letter.id.unsigned_abs()).await;
        deleted += u64::from(gone.map_err(|error| failed(&error))?);
    }
    Ok(deleted)
}

fn matches(filter: &DeadLetterFilter, letter: &DeadLetter) -> bool {
    let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
    filter.id.is_none_or(|id| id == letter.id)
        && is(&filter.stage, &letter.stage)
        && is(&filter.reason, &letter.reason)
        && filter
            .template
            .as_ref()
            .is_none_or(|wanted| letter.template.as_ref() == Some(wanted))
}

fn letter(seq: u64, payload: &Bytes) -> Result<DeadLetter, SpoolError> {
    let unreadable = |error| SpoolError::Shared(format!("dead letter {seq} can't be read: {error}"));
    let (head, body) = entry::split::<Head>(payload).map_err(unreadable)?;
    Ok(DeadLetter {
        id: i64::try_from(seq).unwrap_or(i64::MAX),
        message: head.position,
        died: head.died,
        received: head.received,
        position: head.position,
        stage: head.fault.stage.name().to_owned(),
        reason: head.fault.reason,
        detail: head.fault.detail,
        template: head.fault.template,
        path: head.fault.path,
        body: Some(body.to_vec()),
        context: Some(head.context),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_dead_letters_goes_back_once() {
        let letter = |id, position, body: &str, path: &str| DeadLetter {
            id,
            message: position,
            died: 9,
            received: 5,
            position,
            stage: "normalise".to_owned(),
            reason: "Wrong".to_owned(),
            detail: String::new(),
            template: None,
            path: Some(path.to_owned()),
            body: Some(body.into()),
            context: Some("{}".to_owned()),
        };
        let letters = [
            letter(1, 7, "a", "$.x"),
            letter(2, 7, "a", "$.y"),
            letter(3, 7, "b", "$.x"),
            letter(4, 8, "a", "$.x"),
        ];
        let messages = messages_of(&letters);
        let names: Vec<_> = messages.iter().filter_map(|message| message.name.as_deref()).collect();
        assert_eq!(names, ["replay.1", "replay.3", "replay.4"]);
    }
}
