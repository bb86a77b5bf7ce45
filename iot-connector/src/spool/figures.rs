//! What the spool holds, kept in memory beside the file.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use super::{Account, Micros};

/// What the queue holds, without asking the file.
#[derive(Debug, Default)]
pub struct Figures {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) dead_bytes: AtomicU64,
    pub(super) last_received: AtomicI64,
    pub(super) account: Mutex<Account>,
}

/// What streams hold that others fill, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Unfinished messages.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// Bytes of them.
    pub dead_bytes: u64,
    /// When the last message was accepted.
    pub last_received: Option<Micros>,
}

impl Figures {
    /// What was seen to be there.
    pub fn tell_held(&self, held: Held) {
        self.messages.store(held.messages, Ordering::Release);
        self.bytes.store(held.bytes, Ordering::Release);
        self.dead_letters.store(held.dead_letters, Ordering::Release);
        self.dead_bytes.store(held.dead_bytes, Ordering::Release);
        self.last_received
            .store(held.last_received.unwrap_or(0), Ordering::Release);
    }

    /// What became of everything, as it is stored.
    pub fn tell_account(&self, account: Account) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = account;
    }

    /// Unfinished messages.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Acquire)
    }

    /// Bytes of the unfinished messages.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Dead letters kept.
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Acquire)
    }

    /// Bytes of their payloads.
    pub fn dead_bytes(&self) -> u64 {
        self.dead_bytes.load(Ordering::Acquire)
    }

    /// When the last message was accepted.
    pub fn last_received(&self) -> Option<Micros> {
        Some(self.last_received.load(Ordering::Acquire)).filter(|micros| *micros != 0)
    }

    /// What became of all messages and readings since the spool was made.
    pub fn account(&self) -> Account {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
