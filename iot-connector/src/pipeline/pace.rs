//! Takes messages no faster than the connector is sized for; what exceeds it waits in the spool.

use std::time::{Duration, Instant};

/// A bucket that fills with the rate and holds some seconds of it.
#[derive(Debug)]
pub struct Pace {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

/// Seconds of the rate that may come at once.
const BURST: f64 = 10.0;
/// Between two signs of life.
const SIGN: Duration = Duration::from_secs(1);

impl Pace {
    /// Messages a second.
    pub fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        Self {
            rate,
            tokens: rate * BURST,
            filled: Instant::now(),
        }
    }

    /// Waits until so many messages may be taken, and says now and then that it does.
    pub async fn wait(&mut self, messages: usize, alive: impl Fn()) {
        let mut debt = self.take(messages, Instant::now());
        while !debt.is_zero() {
            let part = debt.min(SIGN);
            tokio::time::sleep(part).await;
            debt -= part;
            alive();
        }
    }

    fn take(&mut self, messages: usize, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + since * self.rate).min(self.rate * BURST);
        #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^52 messages")]
        let wanted = messages as f64;
        self.tokens -= wanted;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_shows_signs_of_life() {
        let mut pace = Pace::new(200);
        let signs = std::cell::Cell::new(0);
        pace.wait(2_000 + 200 * 60, || signs.set(signs.get() + 1)).await;
        assert!((60..=61).contains(&signs.get()), "{}", signs.get());
    }

    #[test]
    fn what_exceeds_the_rate_waits() {
        let mut pace = Pace::new(200);
        let begin = Instant::now();
        assert_eq!(pace.take(2_000, begin), Duration::ZERO);
        let wait = pace.take(100, begin).as_secs_f64();
        assert!((0.49..=0.5).contains(&wait), "{wait}");
    }
}
