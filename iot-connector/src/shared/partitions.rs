//! Partitions of Kafka among members: who reads which, and from where.
//!
//! A partition falls into a bucket by its name, and whoever has the bucket reads it. The next offset is stored beside the
//! buckets, after the messages before it are in the stream of entries. Whoever begins writes its name there first: the
//! revision is the fencing number, by which one that lost the bucket can't store any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use iot_mapping::{BUCKETS, hash};
use tracing::{info, warn};

use super::{
    Shared,
    records::{Key, Reading},
    scan::failed,
    session::lost,
};
use crate::spool::SpoolError;

/// A partition that this process may read, for one turn at its bucket.
pub struct Claim {
    shared: Arc<Shared>,
    /// In the store.
    key: String,
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
            // Where that is refused, whoever had it before stored something in between.
            if let Some(revision) = self.tell_reading(&key, next, revision).await? {
                info!(
                    partition = &**partition,
                    offset = next,
                    "this connector reads the partition"
                );
                let claim = Claim {
                    shared: self.clone(),
                    key,
                    bucket,
                    turn,
                    revision: AtomicU64::new(revision),
                    over: AtomicBool::new(false),
                };
                return Ok(Some((claim, next)));
            }
        }
        Ok(None)
    }

    /// Stores from where we read a partition; gives the new revision, or nothing where somebody else wrote since.
    async fn tell_reading(&self, key: &str, next: Option<i64>, revision: u64) -> Result<Option<u64>, SpoolError> {
        let owner = self.me.clone();
        let reading = Reading { owner, next };
        match self.streams()?.keys.update(key, reading.encode(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if lost(&error) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
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
        let revision = self.revision.load(Ordering::Acquire);
        match self.shared.tell_reading(&self.key, Some(next), revision).await? {
            Some(revision) => self.revision.store(revision, Ordering::Release),
            None => {
                warn!(key = self.key, "another connector reads this partition now");
                self.over.store(true, Ordering::Release);
            }
        }
        Ok(())
    }
}
