//! Who may work on which bucket: pure, by the monotonic clock of whoever looks.
//!
//! A member shows itself by beats. It trusts itself until [`TRUST`] after its last beat that arrived was sent; others give
//! it up when they have seen none for [`PATIENCE`], which is longer by more than clocks and the network differ. So a member
//! that was paused or cut off stops before another one begins.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// How often a member shows itself.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long it trusts itself.
pub const TRUST: Duration = Duration::from_secs(4);
/// How long others wait for it.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// A process that holds buckets: the member's name, and which of its lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The member's name.
    pub member: String,
    /// Another one at each start of the process.
    pub instance: String,
}

/// When each process was seen last.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: HashMap<Owner, Instant>,
    beats: HashMap<String, Instant>,
}

impl Sightings {
    /// A process showed itself.
    pub fn beat(&mut self, owner: &Owner, now: Instant) {
        self.seen.insert(owner.clone(), now);
        self.beats.insert(owner.member.clone(), now);
    }

    /// A member said good-bye.
    pub fn left(&mut self, member: &str) {
        self.beats.remove(member);
        self.seen.retain(|owner, _| owner.member != member);
    }

    /// Whether a process has to be reckoned with. One that never showed itself is from now on.
    pub fn is_alive(&mut self, owner: &Owner, now: Instant) -> bool {
        is_recent(*self.seen.entry(owner.clone()).or_insert(now), now)
    }

    /// The members that are there, each once.
    pub fn members(&self, now: Instant) -> Vec<&str> {
        let alive = self.beats.iter().filter(|(_, seen)| is_recent(**seen, now));
        let mut names: Vec<&str> = alive.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Forgets processes that were gone long ago.
    pub fn forget(&mut self, now: Instant) {
        self.seen.retain(|_, seen| now.duration_since(*seen) < PATIENCE * 10);
    }
}

fn is_recent(seen: Instant, now: Instant) -> bool {
    now.duration_since(seen) < PATIENCE
}

/// The member that a bucket belongs to: the one with the greatest number for it, so that when one comes or goes only its
/// buckets change hands.
pub fn preferred<'a>(bucket: u32, members: &[&'a str]) -> Option<&'a str> {
    members.iter().copied().max_by_key(|member| weight(bucket, member))
}

fn weight(bucket: u32, member: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(bucket.to_be_bytes())
        .chain_update(member)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use iot_mapping::BUCKETS;

    use super::*;

    fn owner(member: &str, instance: &str) -> Owner {
        Owner {
            member: member.to_owned(),
            instance: instance.to_owned(),
        }
    }

    #[test]
    fn whoever_is_silent_is_given_up_after_it_has_stopped_trusting_itself() {
        assert!(BEAT * 2 < TRUST && TRUST + Duration::from_secs(1) < PATIENCE);
        let begin = Instant::now();
        let mut sightings = Sightings::default();
        sightings.beat(&owner("a", "1"), begin);
        sightings.beat(&owner("b", "1"), begin + Duration::from_secs(3));
        let at = begin + Duration::from_secs(6);
        assert!(!sightings.is_alive(&owner("a", "1"), at));
        assert_eq!(sightings.members(at), ["b"]);
        // A new life isn't the old one, and that one may still be writing.
        sightings.beat(&owner("b", "2"), at);
        assert!(sightings.is_alive(&owner("b", "1"), at));
        assert!(!sightings.is_alive(&owner("b", "1"), at + Duration::from_secs(3)));
        // Of whom nothing is known the clock begins to run.
        assert!(sightings.is_alive(&owner("c", "1"), at));
        assert!(!sightings.is_alive(&owner("c", "1"), at + PATIENCE));
        sightings.left("b");
        assert!(sightings.members(at).is_empty());
    }

    #[test]
    fn buckets_are_spread_and_only_those_of_a_leaver_move() {
        let three = ["vitals-0", "vitals-1", "vitals-2"];
        let share = |members: &[&str], member| {
            let own = |bucket: &u32| preferred(*bucket, members) == Some(member);
            (0..BUCKETS).filter(own).count()
        };
        for member in three {
            assert!((60..=110).contains(&share(&three, member)), "{member}");
        }
        for bucket in 0..BUCKETS {
            let before = preferred(bucket, &three).unwrap();
            let after = preferred(bucket, &three[..2]).unwrap();
            assert!(before == after || before == three[2]);
        }
        assert_eq!(preferred(0, &[]), None);
    }
}
