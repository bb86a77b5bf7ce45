//! Whether the process is alive and ready, as its parts report it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The health of one process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    draining: AtomicBool,
    gates: Mutex<Vec<(String, Arc<AtomicBool>)>>,
    heartbeats: Mutex<Vec<Loop>>,
}

/// A loop's name, how long it may be silent, and when it last showed itself.
type Loop = (String, Duration, Arc<Mutex<Instant>>);

/// One thing that must be in order before the process is ready; closed at first.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<AtomicBool>,
}

impl Gate {
    /// This part is in order.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// This part is not in order (any more).
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }
}

/// A loop that promises to show itself; liveness fails when it is silent for longer than it said.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    last: Arc<Mutex<Instant>>,
}

impl Heartbeat {
    /// The loop is still going round.
    pub fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Health {
    /// A process without parts: alive and ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part that must be in order; the process isn't ready until the gate is opened.
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let open = Arc::new(AtomicBool::new(false));
        self.shared
            .gates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name.into(), open.clone()));
        Gate { open }
    }

    /// Adds a loop that must not be silent for longer than `silence`.
    pub fn heartbeat(&self, name: impl Into<String>, silence: Duration) -> Heartbeat {
        let last = Arc::new(Mutex::new(Instant::now()));
        let mut heartbeats = self.shared.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeats.push((name.into(), silence, last.clone()));
        Heartbeat { last }
    }

    /// From now on not ready: the process is shutting down.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// `Err` names the parts that aren't in order.
    pub fn ready(&self) -> Result<(), String> {
        if self.shared.draining.load(Ordering::Acquire) {
            return Err("shutting down".to_owned());
        }
        let gates = self.shared.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let closed: Vec<&str> = gates
            .iter()
            .filter(|(_, open)| !open.load(Ordering::Acquire))
            .map(|(name, _)| name.as_str())
            .collect();
        if closed.is_empty() {
            Ok(())
        } else {
            Err(format!("waiting for {}", closed.join(", ")))
        }
    }

    /// `Err` names the loops that are silent.
    pub fn live(&self) -> Result<(), String> {
        let heartbeats = self.shared.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let silent: Vec<&str> = heartbeats
            .iter()
            .filter(|(_, silence, last)| last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > *silence)
            .map(|(name, ..)| name.as_str())
            .collect();
        if silent.is_empty() {
            Ok(())
        } else {
            Err(format!("no sign of life from {}", silent.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_every_gate_and_ends_with_drain() {
        let health = Health::new();
        assert_eq!(health.ready(), Ok(()));
        let (database, keys) = (health.gate("database"), health.gate("keys"));
        database.open();
        assert_eq!(health.ready(), Err("waiting for keys".to_owned()));
        keys.open();
        assert_eq!(health.ready(), Ok(()));
        health.drain();
        assert_eq!(health.ready(), Err("shutting down".to_owned()));
    }

    #[test]
    fn a_silent_loop_is_named() {
        let health = Health::new();
        let quick = health.heartbeat("watch", Duration::ZERO);
        health.heartbeat("slow", Duration::from_hours(1));
        quick.beat();
        while health.live().is_ok() {
            std::hint::spin_loop();
        }
        assert_eq!(health.live(), Err("no sign of life from watch".to_owned()));
    }
}
