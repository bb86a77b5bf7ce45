//! One lane a device: its groups are written one after the other, devices side by side, and one that has to wait holds up
//! nobody else.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

/// Jobs by device.
pub struct Lanes<J> {
    queues: Arc<Mutex<HashMap<String, VecDeque<J>>>>,
    tasks: TaskTracker,
}

impl<J: Send + 'static> Lanes<J> {
    /// No lane.
    pub fn new() -> Self {
        Self {
            queues: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Puts a job into its device's lane. `work` is asked for each job; `false` closes the lane and drops what waits in it.
    pub fn add<F>(&self, device: String, job: J, work: impl Fn(J) -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send,
    {
        match self
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(device.clone())
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
                    queues.get_mut(&device).and_then(VecDeque::pop_front)
                } else {
                    None
                };
                if next.is_none() {
                    queues.remove(&device);
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
