//! One issuer with the keys that it had last.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use daemon::{
    files::{LOOK_INTERVAL, Look, WatchedFile},
    process::describe,
};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    ConfigurationError, Issuer, Options,
    issuer::speaks_for,
    keys::KeySet,
    source::{Discoverer, Endpoints, Fetched, Source},
};

/// How long a request waits for a refresh at most; the refresh itself goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys in force.
pub(crate) struct Known {
    pub(crate) issuer: String,
    pub(crate) keys: KeySet,
    pub(crate) endpoints: Endpoints,
    /// Changes with the keys.
    pub(crate) generation: u64,
}

pub(crate) struct Provider {
    pub(crate) authority: String,
    pub(crate) audiences: Vec<String>,
    source: Source,
    known: ArcSwapOption<Known>,
    refresh: Mutex<Refresh>,
    /// Counts finished refreshes.
    finished: watch::Sender<u64>,
    options: Options,
}

#[derive(Default)]
struct Refresh {
    running: bool,
    last: Option<Instant>,
}

impl Provider {
    pub(crate) fn start(issuer: &Issuer, options: &Options) -> Result<Arc<Self>, ConfigurationError> {
        if issuer.audiences.is_empty() {
            return Err(ConfigurationError::Audience(issuer.authority.clone()));
        }
        let provider = Arc::new(Self {
            authority: issuer.authority.clone(),
            audiences: issuer.audiences.clone(),
            source: Source::new(issuer)?,
            known: ArcSwapOption::empty(),
            refresh: Mutex::default(),
            finished: watch::Sender::new(0),
            options: options.clone(),
        });
        match &provider.source {
            Source::Discovery(_) => tokio::spawn(keep_fresh(Arc::downgrade(&provider), options.refresh_every)),
            Source::File { path, .. } => {
                tokio::spawn(follow_file(Arc::downgrade(&provider), WatchedFile::new(path.clone())))
            }
        };
        Ok(provider)
    }

    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// Whether a token with this `iss` is this issuer's; before the first discovery, whether it may be.
    pub(crate) fn is_issuer(&self, issuer: &str) -> bool {
        match (&*self.known.load(), &self.source) {
            (Some(known), _) => known.issuer == issuer,
            (None, Source::File { issuer: own, .. }) => own == issuer,
            (None, Source::Discovery(Discoverer { authority, .. })) => speaks_for(authority, issuer),
        }
    }

    /// Fetches the keys, unless that was done a moment ago, and waits a bounded time for the result.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let mut finished = self.finished.subscribe();
        if !self.begin() {
            return;
        }
        let _ = tokio::time::timeout(PATIENCE, finished.changed()).await;
    }

    /// Starts a refresh if it may. `false`: none runs, and it is too early for another.
    fn begin(self: &Arc<Self>) -> bool {
        let mut refresh = self.refresh.lock().unwrap_or_else(PoisonError::into_inner);
        if refresh.running {
            return true;
        }
        if refresh
            .last
            .is_some_and(|last| last.elapsed() < self.options.refresh_at_most_every)
        {
            return false;
        }
        refresh.running = true;
        refresh.last = Some(Instant::now());
        // Its own task, so that a request that goes away doesn't take the refresh with it.
        tokio::spawn(self.clone().fetch());
        true
    }

    async fn fetch(self: Arc<Self>) {
        match self.source.fetch().await {
            Ok(fetched) if fetched.keys.is_empty() => {
                warn!(
                    authority = self.authority,
                    "the issuer publishes no key that can be used; the last ones stay"
                );
            }
            Ok(fetched) => self.keep(fetched),
            Err(error) => {
                warn!(authority = self.authority, "{}; the last keys stay", describe(&error));
            }
        }
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).running = false;
        self.finished.send_modify(|count| *count += 1);
    }

    fn keep(&self, fetched: Fetched) {
        let before = self.known.load_full();
        let generation = before.as_ref().map_or(0, |known| known.generation + 1);
        let same = |known: &Known| known.issuer == fetched.issuer && known.endpoints == fetched.endpoints;
        if before.is_some_and(|known| same(&known) && known.keys.same(&fetched.keys)) {
            return;
        }
        info!(
            authority = self.authority,
            keys = fetched.keys.len(),
            "keys of the issuer are in force"
        );
        self.known.store(Some(Arc::new(Known {
            issuer: fetched.issuer,
            keys: fetched.keys,
            endpoints: fetched.endpoints,
            generation,
        })));
    }
}

/// Fetches at once, then now and then; sooner while there are no keys.
async fn keep_fresh(provider: Weak<Provider>, every: Duration) {
    let mut wait = Duration::from_secs(5);
    loop {
        let Some(strong) = provider.upgrade() else { return };
        strong.refresh().await;
        let pause = if strong.known().is_some() {
            every
        } else {
            wait = (wait * 2).min(every);
            wait
        };
        drop(strong);
        tokio::time::sleep(pause).await;
    }
}

async fn follow_file(provider: Weak<Provider>, mut file: WatchedFile) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        interval.tick().await;
        let Some(provider) = provider.upgrade() else { return };
        match file.look() {
            Ok(Look::Changed(_)) => provider.clone().fetch().await,
            Ok(Look::Same | Look::Missing) => {}
            Err(error) => warn!(path = %file.path().display(), %error, "JWKS file can't be read"),
        }
    }
}
