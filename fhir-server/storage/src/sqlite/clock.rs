//! The version clock: a time for each version that is unique and in commit order.

use std::time::{SystemTime, UNIX_EPOCH};

use fhir_resource::Micros;

/// The writer's clock; it never goes back, whatever the machine's does.
#[derive(Debug)]
pub struct Clock {
    last: Micros,
}

impl Clock {
    /// Goes on from the newest time in the database.
    pub fn new(last: Micros) -> Self {
        Self { last }
    }

    /// The time of the next version: now, but later than any before.
    pub fn tick(&mut self) -> Micros {
        self.last = Self::now().max(self.last + 1);
        self.last
    }

    /// The machine's time.
    pub fn now() -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }

    /// The newest time given.
    pub fn last(&self) -> Micros {
        self.last
    }
}
