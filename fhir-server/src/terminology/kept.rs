//! What was read is kept for the next request, up to a number of bytes; what was used least recently goes first.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values by key, within a number of bytes.
pub struct Kept<K, V> {
    most: usize,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    uses: u64,
}

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
}

impl<K: Eq + Hash + Clone, V> Kept<K, V> {
    /// Keeps at most `most` bytes.
    pub fn within(most: usize) -> Self {
        Self {
            most,
            state: Mutex::new(State {
                entries: HashMap::new(),
                bytes: 0,
                uses: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value that is still there.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut state = self.lock();
        state.uses += 1;
        let now = state.uses;
        let entry = state.entries.get_mut(key)?;
        entry.used = now;
        Some(Arc::clone(&entry.value))
    }

    /// Keeps a value of about so many bytes, unless it is larger than all that may be kept.
    pub fn put(&self, key: K, value: Arc<V>, bytes: usize) {
        if bytes > self.most {
            return;
        }
        let mut state = self.lock();
        state.uses += 1;
        let used = state.uses;
        let before = state.entries.insert(key, Entry { value, bytes, used });
        state.bytes += bytes;
        state.bytes -= before.map_or(0, |entry| entry.bytes);
        while state.bytes > self.most {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            state.bytes -= state.entries.remove(&key).map_or(0, |entry| entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays() {
        let kept = Kept::within(30);
        for key in ["a", "b", "c"] {
            kept.put(key, Arc::new(key), 10);
        }
        assert!(kept.get(&"a").is_some());
        kept.put("d", Arc::new("d"), 15);
        let there: Vec<bool> = ["a", "b", "c", "d"].iter().map(|key| kept.get(key).is_some()).collect();
        assert_eq!(there, [true, false, false, true]);
        kept.put("huge", Arc::new("huge"), 31);
        assert!(kept.get(&"huge").is_none() && kept.get(&"a").is_some());
        kept.put("a", Arc::new("again"), 10);
        assert_eq!((kept.get(&"a").as_deref(), kept.lock().bytes), (Some(&"again"), 25));
    }
}
