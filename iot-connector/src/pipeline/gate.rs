//! Waiting for the FHIR server: while it doesn't answer or asks for patience, nobody sends.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    fhir_client::{FhirError, Wait},
    status::SharedReport,
};

/// The first wait after a failure; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// No wait is longer, but for one that the server asked for.
const LONGEST: Duration = Duration::from_secs(30);

/// Closed while the server is waited for; shared by all lanes.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    report: SharedReport,
}

#[derive(Debug, Default)]
struct State {
    closed_until: Option<Instant>,
    failures: u32,
}

impl Gate {
    /// Open.
    pub fn new(report: SharedReport) -> Self {
        Self {
            state: Mutex::default(),
            report,
        }
    }

    /// Waits while it is closed.
    pub async fn pass(&self) {
        loop {
            let until = self.state.lock().unwrap_or_else(PoisonError::into_inner).closed_until;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => return,
            }
        }
    }

    /// The server answered as it should.
    pub fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures > 0 || state.closed_until.is_some() {
            *state = State::default();
        }
        self.report.fhir_reachable();
    }

    /// Somebody's request failed for now; gives how long that one should wait by itself.
    pub fn failed(&self, error: &FhirError, tries: u32) -> Duration {
        let FhirError::Temporary { reason, wait } = error else {
            return Duration::ZERO;
        };
        match wait {
            Wait::Request => {
                // Others may succeed, and say so.
                self.report.fhir_waiting(reason.clone());
                backoff(tries)
            }
            Wait::Server(asked) => {
                self.report.fhir_waiting(reason.clone());
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                // Requests that were under way together fail together: that is one failure.
                if state.closed_until.is_none_or(|until| until <= now) {
                    tracing::warn!("{reason}; messages wait");
                    state.failures = state.failures.saturating_add(1);
                    state.closed_until = Some(now + asked.unwrap_or_else(|| backoff(state.failures)));
                }
                Duration::ZERO
            }
        }
    }
}

fn backoff(failures: u32) -> Duration {
    FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [1, 2, 3, 8, 100].map(backoff);
        assert_eq!(waits.map(|wait| wait.as_millis()), [250, 500, 1000, 30_000, 30_000]);
    }

    #[test]
    fn the_server_is_waited_for_as_long_as_it_asks() {
        let gate = Gate::new(SharedReport::default());
        let asked = Duration::from_mins(2);
        let error = FhirError::Temporary {
            reason: "busy".to_owned(),
            wait: Wait::Server(Some(asked)),
        };
        gate.failed(&error, 1);
        gate.failed(&error, 1);
        let state = gate.state.lock().unwrap();
        assert_eq!(state.failures, 1);
        assert!(state.closed_until.unwrap() > Instant::now() + Duration::from_secs(100));
    }
}
