//! How long to wait before the next try of one thing that failed.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);

/// The wait after `failures` failures in a row: doubling, bounded, and spread by a quarter so that what failed together
/// doesn't come back together. `seed` makes the spread repeatable for one thing.
pub fn wait(failures: u32, seed: u64) -> Duration {
    let base = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    // Fibonacci hashing: neighbouring seeds land far apart.
    let spread = seed
        .wrapping_add(u64::from(failures))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        >> 54;
    base.mul_f64(1.0 - 0.25 * f64::from(u16::try_from(spread).unwrap_or(0)) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute() {
        for failures in 0..40 {
            let wait = wait(failures, 7);
            assert!(wait <= LONGEST);
            assert!(wait >= FIRST.mul_f64(0.75));
        }
        assert!(wait(3, 7) > wait(0, 7));
        assert!(wait(30, 7) >= LONGEST.mul_f64(0.75));
    }
}
