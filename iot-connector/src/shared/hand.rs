//! What this process has in hand: its buckets, what the pipeline hasn't read yet, and until when it trusts itself.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use iot_mapping::bucket;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{entry::Entry, holding::Holding};
use crate::{
    spool::{Account, Micros},
    store::{Content, Item},
};

/// Entries that may wait for the pipeline.
const READY: usize = 4_000;

/// The buckets of this process; shared by the session, which fills it, and the pipeline.
pub struct Hand {
    inner: Mutex<Inner>,
    /// Changes when there is more to read.
    arrived: watch::Sender<i64>,
    /// The pipeline read something.
    taken: Notify,
    /// Changes when a bucket comes or goes.
    turned: watch::Sender<()>,
    /// How many buckets ever came.
    turns: AtomicU64,
}

#[derive(Default)]
struct Inner {
    held: BTreeMap<u32, Holding>,
    /// The bucket of each entry that isn't finished.
    places: HashMap<u64, u32>,
    ready: VecDeque<Item>,
    trusted_until: Option<Instant>,
}

impl Default for Hand {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            arrived: watch::Sender::new(0),
            taken: Notify::new(),
            turned: watch::Sender::new(()),
            turns: AtomicU64::new(0),
        }
    }
}

impl Hand {
    /// Changes when there is more to read.
    pub fn arrived(&self) -> watch::Receiver<i64> {
        self.arrived.subscribe()
    }

    /// Entries for the pipeline, at most `limit`. Those of buckets that were lost since are left out.
    pub fn read(&self, limit: u32) -> Vec<Item> {
        let mut inner = self.inner();
        let mut items = Vec::new();
        while items.len() < limit as usize
            && let Some(item) = inner.ready.pop_front()
        {
            if inner.places.contains_key(&item.seq.unsigned_abs()) {
                items.push(item);
            }
        }
        drop(inner);
        self.taken.notify_one();
        items
    }

    /// Resolves when the pipeline has room for more.
    pub async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            if self.inner().ready.len() < READY {
                return;
            }
            taken.await;
        }
    }

    /// Whether readings of a device may be written now.
    pub fn may_write(&self, device: &str) -> bool {
        self.turn(bucket(device)).is_some()
    }

    /// Which turn of ours at a bucket this is: no other one has its number. `None` where the bucket isn't ours now.
    pub fn turn(&self, bucket: u32) -> Option<u64> {
        let inner = self.inner();
        let holding = inner.held.get(&bucket).filter(|_| inner.is_trusted());
        holding.map(|holding| holding.turn)
    }

    /// Changes when a bucket comes or goes.
    pub fn turned(&self) -> watch::Receiver<()> {
        self.turned.subscribe()
    }

    /// This process may work until then. `false` where it might not any more, meanwhile: what was left undone then is read
    /// again in a new session only.
    pub fn trust(&self, until: Instant) -> bool {
        let mut inner = self.inner();
        if inner.trusted_until.is_some() && !inner.is_trusted() {
            return false;
        }
        inner.trusted_until = Some(until);
        true
    }

    /// Whether it may work now.
    pub fn is_trusted(&self) -> bool {
        self.inner().is_trusted()
    }

    /// A bucket is ours from now on.
    pub fn add(&self, bucket: u32, floor: u64, account: Account) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        self.inner().held.insert(bucket, Holding::new(floor, account, turn));
        self.turned.send_replace(());
    }

    /// A bucket is no longer ours, whatever is open in it.
    pub fn remove(&self, bucket: u32) {
        let mut inner = self.inner();
        inner.held.remove(&bucket);
        inner.places.retain(|_, own| *own != bucket);
        drop(inner);
        self.turned.send_replace(());
    }

    /// Nothing is ours any more.
    pub fn clear(&self) {
        *self.inner() = Inner::default();
        self.taken.notify_one();
        self.turned.send_replace(());
    }

    /// The buckets that are ours.
    pub fn buckets(&self) -> Vec<u32> {
        self.inner().held.keys().copied().collect()
    }

    /// Looks at a bucket, or changes it.
    pub fn with<T>(&self, bucket: u32, look: impl FnOnce(&mut Holding) -> T) -> Option<T> {
        self.inner().held.get_mut(&bucket).map(look)
    }

    /// An entry arrived; it waits for the pipeline unless it did before.
    pub fn take(&self, bucket: u32, seq: u64, entry: Entry, queued: Micros) {
        let mut inner = self.inner();
        let entry = Arc::new(entry);
        let taken = inner
            .held
            .get_mut(&bucket)
            .is_some_and(|holding| holding.take(seq, entry.clone(), queued));
        if !taken {
            return;
        }
        inner.places.insert(seq, bucket);
        let place = i64::try_from(seq).unwrap_or(i64::MAX);
        inner.ready.push_back(Item {
            seq: place,
            queued,
            order: entry.raw.order,
            replay: entry.raw.replay,
            content: Content::Part {
                account: entry.account(),
                faults: entry.faults.clone(),
                measurements: entry.measurements.clone(),
            },
        });
        drop(inner);
        self.arrived.send_replace(place);
    }

    /// An entry that is worked on, with its bucket.
    pub fn open(&self, seq: u64) -> Option<(u32, Arc<Entry>)> {
        let inner = self.inner();
        let bucket = *inner.places.get(&seq)?;
        Some((bucket, inner.held.get(&bucket)?.open(seq)?))
    }

    /// An entry of a message that is worked on here, and when it was put into the stream.
    pub fn waiting(&self, message: i64) -> Option<(Arc<Entry>, Micros)> {
        let inner = self.inner();
        inner.held.values().find_map(|holding| holding.waiting(message))
    }

    /// An entry is finished. Nothing happens where its bucket isn't ours any more.
    pub fn finish(&self, seq: u64, account: Account) {
        let mut inner = self.inner();
        if let Some(bucket) = inner.places.remove(&seq)
            && let Some(holding) = inner.held.get_mut(&bucket)
        {
            holding.finish(seq, account);
        }
    }

    /// When the oldest entry in hand was put into the stream.
    pub fn oldest(&self) -> Option<Micros> {
        self.inner().held.values().filter_map(Holding::oldest).min()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_trusted(&self) -> bool {
        self.trusted_until.is_some_and(|until| Instant::now() < until)
    }
}
