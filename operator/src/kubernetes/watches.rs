//! One watch of one kind: list, then follow, for ever, each with its own backoff and its own sign of life.
//!
//! kube's `watcher` hides bookmarks and orderly ends of a quiet watch, which are the only signs of life that a quiet
//! cluster gives; liveness needs them, so the loop is ours.

use std::fmt::Debug;
use std::time::Duration;

use daemon::Heartbeat;
use futures::StreamExt;
use kube::api::{ListParams, WatchParams};
use kube::core::WatchEvent;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::backoff;
use super::stored::Stored;

/// How long the server keeps one watch open: below the four minutes after which some load balancers drop an idle
/// connection without a word.
pub const TIMEOUT: Duration = Duration::from_secs(200);

/// A watch is dead when it was silent for twice its timeout.
pub const SILENCE: Duration = Duration::from_secs(2 * TIMEOUT.as_secs());

/// What the server is given beyond that to close the watch before the connection counts as dead.
const MARGIN: Duration = Duration::from_secs(5);

/// Objects in one page of a list.
const PAGE: u32 = 200;

/// What a watch has to say.
#[derive(Debug)]
pub enum News<K> {
    /// All that exists now; what isn't in it is gone.
    All(Vec<Stored<K>>),
    /// Made or changed.
    Applied(Stored<K>),
    /// Deleted.
    Deleted(Stored<K>),
}

/// Why a watch has to be taken up again.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("listing failed")]
    List(#[source] kube::Error),
    #[error("watching failed")]
    Watch(#[source] kube::Error),
    #[error("the API server ended the watch: {0}")]
    Ended(String),
    #[error("nothing was heard for longer than the watch may last")]
    Silent,
}

/// Follows the objects that `selector` matches and tells `hear` of each change. Never returns.
pub async fn follow<K>(api: Api<Stored<K>>, selector: Option<&str>, pulse: Heartbeat, mut hear: impl FnMut(News<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut failures = 0;
    let mut version = None;
    loop {
        let outcome = match version.take() {
            None => list(&api, selector, &pulse, &mut hear).await.map(Some),
            Some(from) => watch(&api, selector, from, &pulse, &mut hear).await,
        };
        match outcome {
            Ok(reached) => {
                failures = 0;
                version = reached;
            }
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), error = &error as &dyn std::error::Error, "watch interrupted");
                tokio::time::sleep(backoff::wait(failures, u64::from(failures))).await;
                failures += 1;
            }
        }
    }
}

/// Lists page by page; gives the version to watch from.
async fn list<K>(
    api: &Api<Stored<K>>,
    selector: Option<&str>,
    pulse: &Heartbeat,
    hear: &mut impl FnMut(News<K>),
) -> Result<String, WatchError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams {
        label_selector: selector.map(ToOwned::to_owned),
        ..ListParams::default()
    }
    .limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(WatchError::List)?;
        pulse.beat();
        objects.extend(page.items);
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
            hear(News::All(objects));
            return Ok(page.metadata.resource_version.unwrap_or_default());
        };
        params.continue_token = Some(token);
    }
}

/// Watches until the server closes; gives the version to go on from, or none when a new list is needed.
async fn watch<K>(
    api: &Api<Stored<K>>,
    selector: Option<&str>,
    mut version: String,
    pulse: &Heartbeat,
    hear: &mut impl FnMut(News<K>),
) -> Result<Option<String>, WatchError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let params = WatchParams {
        label_selector: selector.map(ToOwned::to_owned),
        timeout: u32::try_from(TIMEOUT.as_secs()).ok(),
        bookmarks: true,
        ..WatchParams::default()
    };
    let opened = Instant::now();
    let stream = api.watch(&params, &version).await.map_err(WatchError::Watch)?;
    let mut stream = std::pin::pin!(stream);
    loop {
        let Ok(event) = tokio::time::timeout(TIMEOUT + MARGIN, stream.next()).await else {
            return Err(WatchError::Silent);
        };
        let Some(event) = event else {
            // A server that closes at once, again and again, isn't alive.
            if opened.elapsed() >= TIMEOUT / 2 {
                pulse.beat();
            }
            return Ok(Some(version));
        };
        let event = event.map_err(WatchError::Watch)?;
        let seen = match &event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                object.meta().resource_version.clone()
            }
            WatchEvent::Bookmark(mark) => Some(mark.metadata.resource_version.clone()),
            WatchEvent::Error(status) if status.code == 410 => return Ok(None),
            WatchEvent::Error(status) => return Err(WatchError::Ended(status.message.clone())),
        };
        pulse.beat();
        if let Some(seen) = seen {
            version = seen;
        }
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => hear(News::Applied(object)),
            WatchEvent::Deleted(object) => hear(News::Deleted(object)),
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }
}
