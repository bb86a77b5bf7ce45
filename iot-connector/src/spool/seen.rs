//! What was taken in before: a redelivered message or a repeated request is recognised by its id and not stored twice.
//!
//! Of each source the latest [`WINDOW`] ids are remembered, or of a partition the next offset, in the same file and
//! transaction as the messages themselves, so that a crash between storing and acknowledging makes no difference.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// Ids remembered of each source, at least.
pub const WINDOW: i64 = 100_000;
/// Old ids are forgotten once in so many new ones.
const TRIM_EVERY: i64 = 1024;

/// Where a message stands in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Tells it from the other messages of its source.
    pub place: Place,
    /// Whether the source may have delivered it before. If not, an equal place was another message's, which is done with.
    pub redelivered: bool,
}

/// What tells a message from the others of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A name of its own.
    Id(Vec<u8>),
    /// A number in an ordered part of the source: whatever is below the latest was there before.
    Offset {
        /// The part.
        partition: Arc<str>,
        /// The number.
        offset: i64,
    },
}

/// A request that its sender may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Tells it from all other requests.
    pub id: Vec<u8>,
    /// SHA-256 of what it holds.
    pub digest: Vec<u8>,
}

/// Ids of messages that were taken in together: they follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The first message's.
    pub first: i64,
    /// The last message's.
    pub last: i64,
}

/// What became of messages that were handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// They are on disk, but for so many that were there before.
    Stored {
        /// Recognised and left out.
        repeated: u64,
        /// Of those that weren't; `None` if there were none.
        ids: Option<Ids>,
    },
    /// The request was taken in before, with so many messages.
    Before {
        /// How many.
        count: u64,
        /// Theirs; `None` where an older release took them in.
        ids: Option<Ids>,
    },
    /// The key was used before for a request with other content.
    OtherRequest,
}

/// The source name of HTTP requests.
const REQUESTS: &str = "http";

/// What is known of a request.
pub(super) fn request(transaction: &Transaction<'_>, key: &RequestKey) -> Result<Option<Appended>, rusqlite::Error> {
    let mut find = transaction.prepare_cached("SELECT digest, count, first FROM seen WHERE source = ?1 AND id = ?2")?;
    let before = |row: &Row<'_>| {
        let digest: Option<Vec<u8>> = row.get(0)?;
        let (count, first): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
        if digest.as_ref() != Some(&key.digest) {
            return Ok(Appended::OtherRequest);
        }
        let ids = first.filter(|_| count > 0).map(|first| Ids {
            first,
            last: first + count - 1,
        });
        Ok(Appended::Before {
            count: count.unsigned_abs(),
            ids,
        })
    };
    find.query_row(params![REQUESTS, key.id], before).optional()
}

/// Remembers a request that was taken in.
pub(super) fn remember(
    transaction: &Transaction<'_>,
    key: &RequestKey,
    ids: Option<Ids>,
) -> Result<(), rusqlite::Error> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO seen (source, id, digest, count, first) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let count = ids.map_or(0, |ids| ids.last - ids.first + 1);
    insert.execute(params![REQUESTS, key.id, key.digest, count, ids.map(|ids| ids.first)])?;
    trim(transaction, REQUESTS)
}

/// Whether a message was taken in before; if not, it is remembered.
pub(super) fn message(
    transaction: &Transaction<'_>,
    source: &str,
    position: &Position,
) -> Result<bool, rusqlite::Error> {
    let id = match &position.place {
        Place::Id(id) => id,
        Place::Offset { partition, offset } => {
            let sql = if position.redelivered {
                "INSERT INTO offsets (source, partition, next) VALUES (?1, ?2, ?3 + 1)
                 ON CONFLICT DO UPDATE SET next = ?3 + 1 WHERE next <= ?3"
            } else {
                "INSERT OR REPLACE INTO offsets (source, partition, next) VALUES (?1, ?2, ?3 + 1)"
            };
            let changed = transaction
                .prepare_cached(sql)?
                .execute(params![source, partition, offset])?;
            return Ok(changed == 0);
        }
    };
    let sql = if position.redelivered {
        "INSERT INTO seen (source, id, count) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING"
    } else {
        "INSERT OR REPLACE INTO seen (source, id, count) VALUES (?1, ?2, 1)"
    };
    let before = transaction.prepare_cached(sql)?.execute(params![source, id])? == 0;
    if !before {
        trim(transaction, source)?;
    }
    Ok(before)
}

/// The next offset of each partition that messages were taken in of.
pub(super) fn offsets(connection: &Connection, source: &str) -> Result<HashMap<String, i64>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT partition, next FROM offsets WHERE source = ?1")?;
    let rows = find.query_map([source], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Forgets what is older than the window, now and then.
fn trim(transaction: &Transaction<'_>, source: &str) -> Result<(), rusqlite::Error> {
    if transaction.last_insert_rowid() % TRIM_EVERY != 0 {
        return Ok(());
    }
    let mut delete = transaction.prepare_cached(
        "DELETE FROM seen WHERE source = ?1
         AND seq < (SELECT seq FROM seen WHERE source = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?;
    delete.execute(params![source, WINDOW - 1])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use rstest::rstest;

    use super::*;
    use crate::spool::{Keep, NewMessage, Spool, Term};

    fn delivery(id: &str, redelivered: bool) -> (Option<Position>, NewMessage) {
        let position = Position {
            place: Place::Id(id.as_bytes().to_vec()),
            redelivered,
        };
        let message = NewMessage {
            body: Bytes::from_static(b"{}"),
            context: "{}".into(),
        };
        (Some(position), message)
    }

    #[rstest]
    #[case::first(&[("a", true), ("b", true)], 0)]
    #[case::again(&[("a", true), ("b", true), ("a", true)], 1)]
    #[case::again_after_a_first_delivery(&[("a", false), ("a", true)], 1)]
    #[case::the_id_was_given_to_another_message(&[("a", false), ("a", false)], 0)]
    #[tokio::test]
    async fn a_redelivered_message_is_stored_once(#[case] deliveries: &[(&str, bool)], #[case] expected: u64) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool"), Keep::default()).unwrap();
        let source: Arc<str> = "mqtt".into();
        let mut found = 0;
        for (id, redelivered) in deliveries {
            let batch = vec![delivery(id, *redelivered)];
            match spool.append_of(source.clone(), batch, 1).await.unwrap() {
                Appended::Stored { repeated, .. } => found += repeated,
                other => panic!("{other:?}"),
            }
            // Another source's ids are its own.
            let other = spool.append_of("nats".into(), vec![delivery(id, false)], 1).await;
            assert!(matches!(
                other.unwrap(),
                Appended::Stored {
                    repeated: 0,
                    ids: Some(_)
                }
            ));
        }
        assert_eq!(found, expected);
        let stored = spool.figures().account().get(Term::Messages);
        assert_eq!(stored, 2 * deliveries.len() as u64 - expected);
    }

    #[rstest]
    #[case::in_order(&[(0, true), (1, true), (2, true)], 0, 3)]
    #[case::first_ones_are_gone(&[(7, true), (8, true)], 0, 9)]
    #[case::a_gap(&[(0, true), (5, true)], 0, 6)]
    #[case::again(&[(0, true), (1, true), (0, true), (1, true), (2, true)], 2, 3)]
    #[case::the_topic_was_made_anew(&[(8, true), (0, false), (1, true)], 0, 2)]
    #[tokio::test]
    async fn a_message_below_the_next_offset_was_there(
        #[case] deliveries: &[(i64, bool)],
        #[case] expected: u64,
        #[case] next: i64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool"), Keep::default()).unwrap();
        let mut found = 0;
        for (offset, redelivered) in deliveries {
            // The other partition's offsets are its own.
            for partition in ["t/0", "t/1"] {
                let (_, message) = delivery("", true);
                let position = Position {
                    place: Place::Offset {
                        partition: partition.into(),
                        offset: *offset,
                    },
                    redelivered: *redelivered,
                };
                match spool
                    .append_of("kafka".into(), vec![(Some(position), message)], 1)
                    .await
                    .unwrap()
                {
                    Appended::Stored { repeated, .. } => found += repeated,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(found, 2 * expected);
        let offsets = spool.offsets("kafka").unwrap();
        assert_eq!(
            offsets,
            HashMap::from([("t/0".to_owned(), next), ("t/1".to_owned(), next)])
        );
        assert_eq!(spool.offsets("mqtt").unwrap(), HashMap::new());
    }

    #[test]
    fn the_latest_ids_of_a_source_are_remembered_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        drop(Spool::open(&path, Keep::default()).unwrap());
        let mut connection = rusqlite::Connection::open(&path).unwrap();
        let transaction = connection.transaction().unwrap();
        let at = |number: i64| Position {
            place: Place::Id(number.to_be_bytes().to_vec()),
            redelivered: true,
        };
        let all = WINDOW + 2 * TRIM_EVERY;
        for number in 1..=all {
            assert!(!message(&transaction, "mqtt", &at(number)).unwrap());
        }
        assert!(message(&transaction, "mqtt", &at(all - WINDOW + 1)).unwrap());
        assert!(!message(&transaction, "mqtt", &at(1)).unwrap());
        let kept: i64 = transaction
            .query_row("SELECT count(*) FROM seen", [], |row| row.get(0))
            .unwrap();
        assert!((WINDOW..WINDOW + TRIM_EVERY + 2).contains(&kept), "{kept}");
    }

    #[test]
    fn a_spool_of_the_release_before_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        drop(Spool::open(&path, Keep::default()).unwrap());
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute_batch("DROP TABLE offsets; DROP TABLE seen; DROP TABLE traces; DROP INDEX messages_replayed; DROP INDEX dead_letters_of_message; PRAGMA user_version = 1;")
            .unwrap();
        drop(connection);
        let reopened = loop {
            match Spool::open(&path, Keep::default()) {
                Err(crate::spool::SpoolError::InUse { .. }) => std::thread::yield_now(),
                other => break other,
            }
        };
        assert!(reopened.is_ok());
    }
}
