//! A message in work: it is finished when its last part is, and then leaves the spool with its account and faults.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use crate::spool::{Account, Fault, Finished, Micros, Written};

/// Messages that are worked on, counted.
#[derive(Debug, Default)]
pub struct InWork {
    count: AtomicUsize,
    less: Notify,
}

impl InWork {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Resolves when there are at most so many.
    pub async fn at_most(&self, most: usize) {
        loop {
            let less = self.less.notified();
            if self.count() <= most {
                return;
            }
            less.await;
        }
    }
}

/// What became of a message so far.
#[derive(Debug, Default)]
struct Outcome {
    account: Account,
    faults: Vec<Fault>,
    written: Vec<Arc<Written>>,
}

/// One message's progress, shared by its parts.
#[derive(Debug)]
pub struct Tracker {
    seq: i64,
    /// When the message was put into the queue.
    pub queued: Micros,
    parts: AtomicUsize,
    mapping: Arc<str>,
    outcome: Mutex<Outcome>,
    in_work: Arc<InWork>,
}

impl Tracker {
    /// A message that has one part so far: whoever made the tracker. `mapping` tells the pair that it is worked on with.
    pub fn new(seq: i64, queued: Micros, mapping: Arc<str>, in_work: &Arc<InWork>) -> Arc<Self> {
        in_work.count.fetch_add(1, Ordering::AcqRel);
        let (parts, outcome) = (AtomicUsize::new(1), Mutex::default());
        Arc::new(Self {
            seq,
            queued,
            mapping,
            parts,
            outcome,
            in_work: in_work.clone(),
        })
    }

    /// One more part is worked on.
    pub fn begin_part(&self) {
        self.parts.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds to what becomes of the message.
    pub fn record(&self, account: Account, faults: Vec<Fault>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.account += account;
        outcome.faults.extend(faults);
    }

    /// Readings of the message are in this Observation.
    pub fn wrote(&self, written: Arc<Written>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.written.push(written);
    }

    /// A part is done; with the last one the message is.
    pub fn end_part(&self) -> Option<Finished> {
        if self.parts.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let outcome = std::mem::take(&mut *self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
        Some(Finished {
            seq: self.seq,
            account: outcome.account,
            faults: outcome.faults,
            written: outcome.written,
            mapping: self.mapping.clone(),
        })
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.in_work.count.fetch_sub(1, Ordering::AcqRel);
        self.in_work.less.notify_waiters();
    }
}
