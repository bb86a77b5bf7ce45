//! One lane for each key: its jobs are done one after the other, lanes go side by side, and one that has to wait holds up
//! nobody else.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

/// Jobs by key.
pub struct Lanes<K, J> {
    queues: Arc<Mutex<HashMap<K, VecDeque<J>>>>,
    tasks: TaskTracker,
}

impl<K: Clone + Eq + Hash + Send + 'static, J: Send + 'static> Lanes<K, J> {
    /// No lane.
    pub fn new() -> Self {
        Self {
            queues: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Puts a job into its lane. `work` is asked for each job; `false` closes the lane and drops what waits in it.
    pub fn add<F>(&self, key: K, job: J, work: impl Fn(J) -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        match self
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key.clone())
        {
            Entry::Occupied(mut lane) => {
                lane.get_mut().push_back(job);
                return;
            }
            Entry::Vacant(lane) => lane.insert(VecDeque::new()),
        };
        let queues = self.queues.clone();
        self.tasks.spawn(async move {
            let mut next = Some(job);
            while let Some(job) = next {
                let goes_on = work(job).await;
                let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
                next = if goes_on {
                    queues.get_mut(&key).and_then(VecDeque::pop_front)
                } else {
                    None
                };
                if next.is_none() {
                    queues.remove(&key);
                }
            }
        });
    }

    /// Resolves when all lanes are empty.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}
