//! Waits between tries to connect.

use std::time::Duration;

/// The first wait; it doubles up to the longest.
const SHORTEST: Duration = Duration::from_millis(200);

/// The waits of one connection.
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// No wait is longer than this.
    pub fn up_to(longest: Duration) -> Self {
        Self {
            next: SHORTEST,
            longest,
        }
    }

    /// How long to wait after a connection that broke; one that worked for longer than the longest wait begins anew.
    pub fn after(&mut self, worked: Duration) -> Duration {
        if worked > self.longest {
            self.next = SHORTEST;
        }
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_a_connection_has_worked() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::up_to(seconds(1));
        let waits = [0, 0, 1, 0, 0, 2, 0].map(|worked| backoff.after(seconds(worked)).as_millis());
        assert_eq!(waits, [200, 400, 800, 1000, 1000, 200, 400]);
    }
}
