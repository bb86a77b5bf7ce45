//! Verified tokens, by hash: a table of fixed size where a new entry takes the place of an old one.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};

use crate::Claims;

/// The SHA-256 of a token's text.
pub(crate) type Hash = [u8; 32];

/// A token that was verified.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) hash: Hash,
    pub(crate) claims: Arc<Claims>,
    /// The issuer and the generation of its keys that verified it.
    pub(crate) provider: usize,
    pub(crate) generation: u64,
}

/// Reading takes no lock, and its size never changes.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Box<[ArcSwapOption<Entry>]>,
}

impl Cache {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            slots: (0..size.max(1)).map(|_| ArcSwapOption::empty()).collect(),
        }
    }

    pub(crate) fn get(&self, hash: &Hash) -> Option<Arc<Entry>> {
        self.slot(hash).load_full().filter(|entry| entry.hash == *hash)
    }

    pub(crate) fn put(&self, entry: Entry) {
        self.slot(&entry.hash).store(Some(Arc::new(entry)));
    }

    fn slot(&self, hash: &Hash) -> &ArcSwapOption<Entry> {
        let [a, b, c, d, ..] = *hash;
        &self.slots[u32::from_le_bytes([a, b, c, d]) as usize % self.slots.len()]
    }
}

pub(crate) fn hash(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
