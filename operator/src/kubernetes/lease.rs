//! Leader election on one `coordination.k8s.io/v1` Lease.
//!
//! Promise: two processes never both hold a [`Claim`] that [`leaves`](Claim::leaves) a second or more, whatever their wall clocks say.
//! Who holds it is decided by the API server (every write carries the resourceVersion that it was decided on); how long
//! is measured on the holder's monotonic clock from before its write was sent, and on the others' from when they saw it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a claim is good for after it was last renewed.
pub const DURATION: Duration = Duration::from_secs(15);

/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(4);

/// How often the others look whether it was given back, and how soon a round that failed is tried again.
const LOOK: Duration = Duration::from_secs(1);

/// How long one renewal may take before it is given up and tried again.
const PATIENCE: Duration = Duration::from_secs(3);

/// What this process may assume about its leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim(Option<Instant>);

impl Claim {
    /// No claim at all.
    pub const NONE: Self = Self(None);

    /// A claim until that moment.
    pub fn until(end: Instant) -> Self {
        Self(Some(end))
    }

    /// Whether the claim was held when it was last renewed; it may have run out since.
    pub fn is_held(self) -> bool {
        self.0.is_some()
    }

    /// Whether at least `margin` is left.
    pub fn leaves(self, margin: Duration) -> bool {
        self.0.is_some_and(|end| {
            end.checked_duration_since(Instant::now())
                .is_some_and(|left| left >= margin)
        })
    }
}

/// One candidate for one Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    claim: watch::Sender<Claim>,
    seen: Option<Seen>,
}

/// The last other holder, and when this process first saw that renewal of it.
struct Seen {
    version: String,
    at: Instant,
}

/// A round failed; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the lease can't be read or written")]
    Api(#[from] kube::Error),
    #[error("the API server didn't answer within {PATIENCE:?}")]
    Slow(#[from] tokio::time::error::Elapsed),
}

impl Candidate {
    /// A candidate under `identity` for the Lease `name`, and where its claim can be seen.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> (Self, watch::Receiver<Claim>) {
        let (claim, seen) = watch::channel(Claim::NONE);
        let candidate = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            claim,
            seen: None,
        };
        (candidate, seen)
    }

    /// Campaigns until `stop` resolves, then gives the Lease back so that the standby takes over at once.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let outcome = self.round().await;
            if let Err(error) = &outcome {
                tracing::warn!(error = error as &dyn std::error::Error, "lease round failed");
            }
            let pause = self.pause(outcome.is_ok());
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(pause) => {}
            }
            // A claim that ran out while the API server was away is no claim.
            if self.claim.borrow().is_held() && !self.claim.borrow().leaves(Duration::ZERO) {
                tracing::warn!("leadership ran out");
                self.set(Claim::NONE);
            }
        }
        self.release().await;
    }

    fn pause(&self, went_well: bool) -> Duration {
        if went_well && self.claim.borrow().is_held() {
            RENEW
        } else {
            LOOK
        }
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        let started = Instant::now();
        let lease = tokio::time::timeout(PATIENCE, self.api.get_opt(&self.name)).await??;
        let Some(lease) = lease else {
            let fresh = self.written(None, 0);
            let made = tokio::time::timeout(PATIENCE, self.api.create(&PostParams::default(), &fresh)).await?;
            return self.judge(made, started);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
        let transitions = spec.lease_transitions.unwrap_or(0);
        let (next, since) = match holder {
            Some(holder) if holder == self.identity => (transitions, spec.acquire_time),
            Some(_) if !self.has_run_out(&lease) => {
                self.set(Claim::NONE);
                return Ok(());
            }
            Some(_) | None => (transitions + 1, None),
        };
        let mut renewed = self.written(lease.metadata.resource_version, next);
        if let (Some(since), Some(spec)) = (since, renewed.spec.as_mut()) {
            spec.acquire_time = Some(since);
        }
        let params = PostParams::default();
        let replaced = self.api.replace(&self.name, &params, &renewed);
        let written = tokio::time::timeout(PATIENCE, replaced).await?;
        self.judge(written, started)
    }

    /// Another holder has run out when no renewal of it was seen for the whole duration on our own clock.
    fn has_run_out(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some(seen) if seen.version == version => seen.at.elapsed() > DURATION,
            Some(_) | None => {
                self.seen = Some(Seen {
                    version,
                    at: Instant::now(),
                });
                false
            }
        }
    }

    /// A write that another one overtook isn't an error: somebody else leads.
    fn judge(&mut self, written: kube::Result<Lease>, started: Instant) -> Result<(), RoundError> {
        match written {
            Ok(_) => {
                self.set(Claim::until(started + DURATION));
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                self.set(Claim::NONE);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set(&self, claim: Claim) {
        self.claim.send_if_modified(|current| {
            let changed = current.is_held() != claim.is_held();
            *current = claim;
            if changed {
                tracing::info!(identity = self.identity, leader = claim.is_held(), "leadership changed");
            }
            changed
        });
    }

    fn written(&self, version: Option<String>, transitions: i32) -> Lease {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: Some(now.clone()),
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                lease_transitions: Some(transitions),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn release(&mut self) {
        if !self.claim.borrow().is_held() {
            return;
        }
        self.set(Claim::NONE);
        let given_back = async {
            let mut lease = self.api.get(&self.name).await?;
            if let Some(spec) = lease.spec.as_mut()
                && spec.holder_identity.as_deref() == Some(&self.identity)
            {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, given_back).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lease wasn't given back");
        }
    }
}
