//! What has to be looked at, when, and by nobody twice at a time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::kubernetes::backoff;

/// A queue of tasks, each at most once in it and at most once in work. A task that failed waits longer each time, by
/// itself: no other waits for it.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<T> {
    /// By time; the same entries as in `due`.
    order: BTreeSet<(Instant, T)>,
    due: HashMap<T, Instant>,
    working: HashSet<T>,
    /// What became due while it was in work.
    again: HashMap<T, Instant>,
    failures: HashMap<T, u32>,
}

/// How one task went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done; look again after that time at the latest.
    Done(Option<Duration>),
    /// Failed; try again after the task's own backoff.
    Failed,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State {
            order: BTreeSet::new(),
            due: HashMap::new(),
            working: HashSet::new(),
            again: HashMap::new(),
            failures: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
        }
    }
}

impl<T: Clone + Hash + Ord> Queue<T> {
    /// To be looked at now.
    pub fn add(&self, task: T) {
        self.add_at(task, Instant::now());
    }

    /// To be looked at then, or earlier if it is already due earlier.
    pub fn add_at(&self, task: T, at: Instant) {
        self.lock().add(task, at);
        self.wake.notify_one();
    }

    /// Waits for the next task that is due and takes it into work; give it back with [`finish`](Self::finish).
    pub async fn next(&self) -> T {
        loop {
            let next = self.lock().take(Instant::now());
            let until = match next {
                Ok(task) => {
                    // Others may be due too: let another worker look.
                    self.wake.notify_one();
                    return task;
                }
                Err(until) => until,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// The task is out of work.
    pub fn finish(&self, task: &T, outcome: Outcome) {
        let mut state = self.lock();
        state.working.remove(task);
        match outcome {
            Outcome::Done(after) => {
                state.failures.remove(task);
                if let Some(after) = after {
                    state.add(task.clone(), Instant::now() + after);
                }
            }
            Outcome::Failed => {
                let failures = state.failures.entry(task.clone()).or_default();
                let wait = backoff::wait(*failures, hash(task));
                *failures = failures.saturating_add(1);
                state.add(task.clone(), Instant::now() + wait);
                // What became due meanwhile doesn't shorten the wait of what just failed.
                state.again.remove(task);
            }
        }
        if let Some(at) = state.again.remove(task) {
            state.add(task.clone(), at);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Puts back what is in work, because whoever had it is gone.
    pub fn release_all(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let working = std::mem::take(&mut state.working);
        state.again.clear();
        for task in working {
            state.add(task, now);
        }
    }

    /// How many wait, whether due or not.
    pub fn len(&self) -> usize {
        self.lock().due.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Hash + Ord> State<T> {
    fn add(&mut self, task: T, at: Instant) {
        if self.working.contains(&task) {
            let again = self.again.entry(task).or_insert(at);
            *again = (*again).min(at);
            return;
        }
        match self.due.get(&task) {
            Some(due) if *due <= at => return,
            Some(due) => {
                self.order.remove(&(*due, task.clone()));
            }
            None => {}
        }
        self.due.insert(task.clone(), at);
        self.order.insert((at, task));
    }

    /// The first that is due, or when the first will be.
    fn take(&mut self, now: Instant) -> Result<T, Option<Instant>> {
        match self.order.first() {
            None => Err(None),
            Some((at, _)) if *at > now => Err(Some(*at)),
            Some(_) => {
                let (_, task) = self.order.pop_first().ok_or(None)?;
                self.due.remove(&task);
                self.working.insert(task.clone());
                Ok(task)
            }
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_is_in_the_queue_once_and_in_work_once() {
        let queue = Queue::default();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "b");
        queue.finish(&"a", Outcome::Done(None));
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_waits_by_itself() {
        let queue = Queue::default();
        queue.add("bad");
        let started = Instant::now();
        for _ in 0..5 {
            assert_eq!(queue.next().await, "bad");
            queue.finish(&"bad", Outcome::Failed);
        }
        queue.add("good");
        let before = Instant::now();
        assert_eq!(queue.next().await, "good");
        assert_eq!(before, Instant::now());
        assert!(started.elapsed() > Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_lost_worker_had_is_done_again() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.release_all();
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_look_gives_way_to_an_earlier_one() {
        let queue = Queue::default();
        queue.add_at("a", Instant::now() + Duration::from_mins(1));
        queue.add("a");
        let before = Instant::now();
        assert_eq!(queue.next().await, "a");
        assert_eq!(before, Instant::now());
        queue.finish(&"a", Outcome::Done(Some(Duration::from_secs(30))));
        queue.next().await;
        assert_eq!(before.elapsed(), Duration::from_secs(30));
    }
}
