//! One bucket in the hands of this process: which of its entries are finished, and how far the bucket is.
//!
//! The floor is the last entry before which all are finished. It is stored together with the account of what lies below it,
//! so whoever takes the bucket over counts nothing twice.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use super::entry::Entry;
use crate::spool::{Account, Micros};

/// A bucket that this process may work on.
#[derive(Debug)]
pub struct Holding {
    /// All entries up to here are finished.
    pub floor: u64,
    /// What became of those.
    pub account: Account,
    /// Whether floor and account changed since they were stored.
    pub changed: bool,
    /// When they were stored last.
    pub stored: Option<Instant>,
    /// It goes to somebody else since then: nothing new is read.
    pub leaving: Option<Instant>,
    /// Which turn at the bucket this is.
    pub turn: u64,
    /// The last entry that was read.
    read: u64,
    entries: BTreeMap<u64, State>,
}

#[derive(Debug)]
enum State {
    Open(Arc<Entry>, Micros),
    Finished(Account),
}

impl Holding {
    /// A bucket as it was stored.
    pub fn new(floor: u64, account: Account, turn: u64) -> Self {
        Self {
            floor,
            account,
            changed: false,
            stored: None,
            leaving: None,
            turn,
            read: floor,
            entries: BTreeMap::new(),
        }
    }

    /// The last entry that was read.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// An entry comes in; `false` where it was read before, or isn't taken any more.
    pub fn take(&mut self, seq: u64, entry: Arc<Entry>, queued: Micros) -> bool {
        if seq <= self.read || self.leaving.is_some() {
            return false;
        }
        self.read = seq;
        self.entries.insert(seq, State::Open(entry, queued));
        true
    }

    /// An entry that isn't finished.
    pub fn open(&self, seq: u64) -> Option<Arc<Entry>> {
        match self.entries.get(&seq) {
            Some(State::Open(entry, _)) => Some(entry.clone()),
            _ => None,
        }
    }

    /// An open entry of a message, and when it was put into the stream.
    pub fn waiting(&self, message: i64) -> Option<(Arc<Entry>, Micros)> {
        self.entries.values().find_map(|state| match state {
            State::Open(entry, queued) if entry.raw.order.position == message => Some((entry.clone(), *queued)),
            State::Open(..) | State::Finished(_) => None,
        })
    }

    /// An entry is finished; what is known to be finished already stays as it is.
    pub fn finish(&mut self, seq: u64, account: Account) {
        if let Some(state @ State::Open(..)) = self.entries.get_mut(&seq) {
            *state = State::Finished(account);
        }
        while let Some(first) = self.entries.first_entry() {
            let State::Finished(account) = first.get() else { break };
            self.account += *account;
            self.floor = *first.key();
            self.changed = true;
            first.remove();
        }
    }

    /// Whether nothing is worked on.
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the oldest open entry was put into the stream.
    pub fn oldest(&self) -> Option<Micros> {
        self.entries.values().find_map(|state| match state {
            State::Open(_, queued) => Some(*queued),
            State::Finished(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use iot_mapping::Order;

    use super::*;
    use crate::{shared::entry::Raw, spool::Term};

    fn entry() -> Arc<Entry> {
        Arc::new(Entry {
            raw: Raw {
                order: Order::default(),
                replay: false,
                context: "{}".into(),
                body: Bytes::new(),
            },
            outcome: None,
            faults: Vec::new(),
            measurements: Vec::new(),
        })
    }

    fn points(count: u64) -> Account {
        Account::of(&[(Term::Points, count)])
    }

    /// All orders in which three entries can be finished give the same, and the floor never passes an open one.
    #[test]
    fn the_floor_passes_finished_entries_only() {
        let orders = [[4, 7, 9], [4, 9, 7], [7, 4, 9], [7, 9, 4], [9, 4, 7], [9, 7, 4]];
        for order in orders {
            let mut holding = Holding::new(2, points(100), 1);
            for (seq, queued) in [(4, 40), (7, 70), (9, 90)] {
                assert!(holding.take(seq, entry(), queued));
            }
            let mut finished = Vec::new();
            for seq in order {
                holding.finish(seq, points(seq));
                holding.finish(seq, points(1000));
                finished.push(seq);
                let below = [4, 7, 9].into_iter().take_while(|seq| finished.contains(seq));
                let expected = below.clone().last().unwrap_or(2);
                assert_eq!(holding.floor, expected, "{order:?}");
                assert_eq!(holding.account, points(100 + below.sum::<u64>()), "{order:?}");
            }
            assert!(holding.is_idle() && holding.changed && holding.oldest().is_none());
        }
    }

    #[test]
    fn what_was_read_before_is_not_taken_again() {
        let mut holding = Holding::new(5, Account::default(), 1);
        assert!(!holding.take(5, entry(), 0));
        assert!(holding.take(6, entry(), 60));
        assert!(!holding.take(6, entry(), 60));
        assert_eq!((holding.read(), holding.oldest()), (6, Some(60)));
        holding.leaving = Some(Instant::now());
        assert!(!holding.take(7, entry(), 70));
        holding.finish(3, points(1));
        assert_eq!((holding.floor, holding.changed), (5, false));
        assert!(holding.open(6).is_some() && holding.open(5).is_none());
    }
}
