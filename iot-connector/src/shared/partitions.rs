//! Partitions of Kafka among members: who reads which, and from where.
//!
//! A partition falls into a bucket by its name, and whoever has the bucket reads it. The next offset is stored beside the
//! buckets, after the messages before it are in the stream of entries. Whoever begins writes its name there first: the
//! revision is the fencing number, by which one that lost the bucket can't store any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use iot_mapping::{BUCKETS, hash};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Shared, lease::Owner, records::Key, scan::failed, session::lost};
use crate::spool::SpoolError;

/// What the store says of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    /// Who reads it, or did last.
    owner: Owner,
    /// All before this offset is in the stream of entries; `None` where nothing was read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

impl Reading {
    fn encode(&self) -> Bytes {
        // Plain structs of texts and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// A partition that this process may read, for one turn at its bucket.
pub struct Claim {
    shared: Arc<Shared>,
    partition: Arc<str>,
    bucket: u32,
    turn: u64,
    revision: AtomicU64,
    /// Somebody else wrote over it.
    over: AtomicBool,
}

impl Shared {
    /// Waits until a partition is ours; gives where its reading goes on, where it was read before.
    pub async fn claim(self: &Arc<Self>, partition: &Arc<str>) -> Result<(Claim, Option<i64>), SpoolError> {
        let bucket = hash(partition, BUCKETS);
        let mut turned = self.hand.turned();
        loop {
            turned.borrow_and_update();
            if let Some(turn) = self.hand.turn(bucket)
                && let Some(claimed) = self.begin(partition, bucket, turn).await?
            {
                return Ok(claimed);
            }
            // The sender lives as long as this.
            let _ = turned.changed().await;
        }
    }

    /// Writes our name over whoever read a partition before; nothing where our turn ended meanwhile.
    async fn begin(
        self: &Arc<Self>,
        partition: &Arc<str>,
        bucket: u32,
        turn: u64,
    ) -> Result<Option<(Claim, Option<i64>)>, SpoolError> {
        let key = Key::Partition(partition.to_string()).text();
        while self.hand.turn(bucket) == Some(turn) {
            let Ok(streams) = self.streams() else { break };
            let found = streams.keys.entry(&key).await.map_err(|error| failed(&error))?;
            let (revision, next) = match found {
                None => (0, None),
                Some(found) => {
                    let before: Reading = serde_json::from_slice(&found.value).map_err(|error| {
                        SpoolError::Shared(format!("`{key}` in the store of keys can't be read: {error}"))
                    })?;
                    (found.revision, before.next)
                }
            };
            let reading = Reading {
                owner: self.me.clone(),
                next,
            };
            match streams.keys.update(&key, reading.encode(), revision).await {
                Ok(revision) => {
                    info!(
                        partition = &**partition,
                        offset = next,
                        "this connector reads the partition"
                    );
                    let claim = Claim {
                        shared: self.clone(),
                        partition: partition.clone(),
                        bucket,
                        turn,
                        revision: AtomicU64::new(revision),
                        over: AtomicBool::new(false),
                    };
                    return Ok(Some((claim, next)));
                }
                // Whoever had it before stored something in between.
                Err(error) if lost(&error) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(None)
    }
}

impl Claim {
    /// Whether the partition may be read, and what was read of it be published.
    pub fn holds(&self) -> bool {
        !self.over.load(Ordering::Acquire) && self.shared.hand.turn(self.bucket) == Some(self.turn)
    }

    /// All before an offset is in the stream of entries. What can't be stored because somebody else reads the partition now
    /// ends the claim.
    pub async fn store(&self, next: i64) -> Result<(), SpoolError> {
        let streams = self.shared.streams()?;
        let key = Key::Partition(self.partition.to_string()).text();
        let reading = Reading {
            owner: self.shared.me.clone(),
            next: Some(next),
        };
        let revision = self.revision.load(Ordering::Acquire);
        match streams.keys.update(&key, reading.encode(), revision).await {
            Ok(revision) => self.revision.store(revision, Ordering::Release),
            Err(error) if lost(&error) => {
                warn!(
                    partition = &*self.partition,
                    "another connector reads this partition now"
                );
                self.over.store(true, Ordering::Release);
            }
            Err(error) => return Err(failed(&error)),
        }
        Ok(())
    }
}
