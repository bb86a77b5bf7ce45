//! The life of a process: critical tasks, signals, and an ordered end.
//!
//! The order of a shutdown: not ready, stop accepting, drain with a deadline, close. A critical task that ends before a
//! shutdown was asked for takes the process down with an error, so that whoever supervises it starts it again.

use std::{fmt::Display, future::Future, io, pin::Pin, time::Duration};

use axum::Router;
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{Health, Listener};

/// Why a process ended on its own.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// A task without which the process is of no use ended.
    #[error("`{task}` stopped: {reason}")]
    TaskEnded {
        /// The task's name.
        task: String,
        /// Its error, or that it just returned.
        reason: String,
    },
    /// Signal handlers could not be installed.
    #[error("signals can't be received")]
    Signals(#[source] io::Error),
}

/// Tells a task that the process is about to end; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// A shutdown that nobody has asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when the shutdown is asked for.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether it has been asked for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Asks for it.
    pub fn request(&self) {
        self.token.cancel();
    }
}

/// What asks a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the one that came.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

type Closer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Owns the tasks of a process until its end.
#[derive(Default)]
pub struct Supervisor {
    health: Health,
    shutdown: Shutdown,
    /// Ends what must outlive the drain: the management listener.
    closing: Shutdown,
    drain: Duration,
    tasks: JoinSet<(String, Result<(), String>)>,
    background: JoinSet<()>,
    closers: Vec<(String, Closer)>,
    /// Listened to before the first request can come: until then a signal ends the process at once.
    signals: Option<io::Result<Signals>>,
}

impl Supervisor {
    /// `drain` bounds how long requests in flight and tasks may take to finish.
    pub fn new(drain: Duration) -> Self {
        Self {
            drain,
            ..Self::default()
        }
    }

    /// The process's health, for gates and the management routes.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The signal that tasks listen to.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Starts a task that has to run until a shutdown is requested, and then returns by itself.
    pub fn critical<E: Display>(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let name = name.into();
        self.tasks.spawn(async move {
            let result = task.await.map_err(|error| error.to_string());
            (name, result)
        });
    }

    /// Serves `router` until the shutdown, then drains the connections.
    pub fn serve(&mut self, name: impl Into<String>, listener: Listener, router: Router) {
        self.signals.get_or_insert_with(Signals::listen);
        let (shutdown, drain) = (self.shutdown.clone(), self.drain);
        self.critical(name, async move {
            listener.serve(router, &shutdown, drain).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Serves the management routes until all else has ended, so that probes and metrics see the drain.
    pub fn serve_management(&mut self, listener: Listener, router: Router) {
        let closing = self.closing.clone();
        self.background
            .spawn(async move { listener.serve(router, &closing, Duration::from_secs(1)).await });
    }

    /// Runs `closer` after all tasks ended; the last one registered runs first.
    pub fn on_close(&mut self, name: impl Into<String>, closer: impl Future<Output = ()> + Send + 'static) {
        self.closers.push((name.into(), Box::pin(closer)));
    }

    /// Waits for SIGTERM, SIGINT, a request of [`Shutdown`] or a dead critical task, then ends in order.
    pub async fn run(mut self) -> Result<(), ProcessError> {
        let signals = self.signals.take().unwrap_or_else(Signals::listen);
        let mut signals = signals.map_err(ProcessError::Signals)?;
        let verdict = tokio::select! {
            // A task that ends because the shutdown was asked for is no failure.
            biased;
            () = self.shutdown.requested() => { info!("shutting down"); Ok(()) }
            name = signals.next() => { info!("{name} received, shutting down"); Ok(()) }
            Some(ended) = self.tasks.join_next() => Err(dead(ended)),
        };
        if let Err(error) = &verdict {
            error!("{error}");
        }
        self.health.drain();
        self.shutdown.request();
        let drained = tokio::time::timeout(self.drain, async { while self.tasks.join_next().await.is_some() {} });
        if drained.await.is_err() {
            warn!(
                tasks = self.tasks.len(),
                "tasks did not end within {} s and are cut off",
                self.drain.as_secs()
            );
            self.tasks.shutdown().await;
        }
        for (name, closer) in self.closers.into_iter().rev() {
            info!("closing {name}");
            closer.await;
        }
        self.closing.request();
        while self.background.join_next().await.is_some() {}
        verdict
    }
}

fn dead(ended: Result<(String, Result<(), String>), JoinError>) -> ProcessError {
    match ended {
        Ok((task, Ok(()))) => ProcessError::TaskEnded {
            task,
            reason: "it returned before the shutdown".to_owned(),
        },
        Ok((task, Err(reason))) => ProcessError::TaskEnded { task, reason },
        Err(error) => ProcessError::TaskEnded {
            task: "a task".to_owned(),
            reason: error.to_string(),
        },
    }
}
