//! How long tests repeat themselves that try something at random: a few rounds, or with `LONG_TESTS=1` many, but no longer
//! than `LONG_MINUTES` (30 unless it says otherwise). A long run shows how far it is, whatever becomes of a test's output.

mod dice;

use std::io::Write;
use std::time::{Duration, Instant};

pub use dice::{Dice, crash_seed};

/// Minutes of a test in a long run, unless `LONG_MINUTES` says otherwise.
pub const MINUTES: u64 = 30;
/// How often a long run shows how far it is.
const SHOWN: Duration = Duration::from_secs(30);

/// Whether tests are to be run at full length.
pub fn is_long() -> bool {
    std::env::var_os("LONG_TESTS").is_some()
}

/// The rounds of a test: `short` of them, in a long run up to `long`.
pub fn rounds(name: &'static str, short: u32, long: u32) -> Rounds {
    let minutes = std::env::var("LONG_MINUTES").ok().and_then(|text| text.parse().ok());
    let limit = is_long().then(|| Duration::from_secs(minutes.unwrap_or(MINUTES) * 60));
    Rounds::new(name, if is_long() { long } else { short }, limit)
}

/// The numbers of rounds, from 0.
#[derive(Debug)]
pub struct Rounds {
    name: &'static str,
    done: u32,
    most: u32,
    begun: Instant,
    shown: Instant,
    limit: Option<Duration>,
}

impl Rounds {
    fn new(name: &'static str, most: u32, limit: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            name,
            done: 0,
            most,
            begun: now,
            shown: now,
            limit,
        }
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let (name, done, most, seconds) = (self.name, self.done, self.most, self.begun.elapsed().as_secs());
        // a test's own output is shown only where it fails; who can't read this doesn't miss much
        let _ = writeln!(std::io::stderr(), "{name}: {done} of {most} rounds in {seconds} s");
    }
}

impl Iterator for Rounds {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        // without a limit nobody waits long for the end; with one the first round is always done
        let is_over = self
            .limit
            .is_some_and(|limit| self.done > 0 && self.begun.elapsed() >= limit);
        if self.done == self.most || is_over {
            if self.limit.is_some() {
                self.show();
            }
            return None;
        }
        if self.limit.is_some() && self.shown.elapsed() >= SHOWN {
            self.show();
        }
        self.done += 1;
        Some(self.done - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_end_by_number_or_by_time() {
        assert_eq!(Rounds::new("short", 3, None).collect::<Vec<_>>(), [0, 1, 2]);
        let long = Duration::from_hours(1);
        assert_eq!(Rounds::new("long", 3, Some(long)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(Rounds::new("late", 3, Some(Duration::ZERO)).collect::<Vec<_>>(), [0]);
    }
}
