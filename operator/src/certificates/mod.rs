//! The webhook's certificates without any other controller: a CA in a Secret of the operator's namespace that all
//! replicas share, a leaf of each replica in its memory only, and the CA put into the webhook configuration.
//!
//! Promise: a replica is ready only when the API server has been told to trust the CA of its leaf. While the CA is
//! exchanged, both the new and the previous one are trusted, so that replicas may exchange their leaves one by one.

mod authority;
mod injection;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use daemon::tls::ReplaceableKey;
use daemon::{Gate, Shutdown};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

pub use authority::{Authority, CertificateError, Leaf};

use crate::kubernetes::lease::Claim;

/// How often Secret and webhook configuration are looked at. Reads only, unless something has to change.
const LOOK: Duration = Duration::from_mins(1);

/// How soon again after a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the certificates are for.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Namespace of the operator.
    pub namespace: String,
    /// The Service that the API server calls.
    pub service: String,
    /// The Secret that holds the CA.
    pub secret: String,
    /// The ValidatingWebhookConfiguration to put the CA into.
    pub configuration: String,
}

impl Endpoint {
    /// The name that the API server verifies.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// Why a look at the certificates failed.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The Secret can't be read, made or changed.
    #[error("the CA in Secret `{secret}` can't be had")]
    Secret {
        /// Its name.
        secret: String,
        /// Why.
        source: secret::SecretError,
    },
    /// The webhook configuration can't be read or changed.
    #[error("the CA can't be put into ValidatingWebhookConfiguration `{configuration}`")]
    Injection {
        /// Its name.
        configuration: String,
        /// Why.
        source: kube::Error,
    },
    /// No leaf can be made.
    #[error("no certificate can be made for the webhook")]
    Certificate(#[from] CertificateError),
}

/// Keeps the served leaf, the shared CA and the webhook configuration right until the shutdown.
pub struct Keeper {
    /// How to reach the API server.
    pub client: Client,
    /// What the certificates are for.
    pub endpoint: Endpoint,
    /// What the webhook serves with.
    pub served: Arc<ReplaceableKey>,
    /// Opened when the API server trusts what is served.
    pub trusted: Gate,
    /// Only the leader exchanges the CA.
    pub claim: watch::Receiver<Claim>,
}

impl Keeper {
    /// Runs until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let mut leaf: Option<Leaf> = None;
        loop {
            let pause = match self.look(&mut leaf).await {
                Ok(()) => {
                    self.trusted.open();
                    LOOK
                }
                Err(error) => {
                    tracing::warn!(
                        error = daemon::process::describe(&error),
                        "certificates need another look"
                    );
                    LOOK_AGAIN
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self, leaf: &mut Option<Leaf>) -> Result<(), LookError> {
        let now = Timestamp::now();
        let may_exchange = self.claim.borrow().leaves(Duration::from_secs(5));
        let bundle = secret::ensure(&self.client, &self.endpoint, may_exchange, now)
            .await
            .map_err(|source| LookError::Secret {
                secret: self.endpoint.secret.clone(),
                source,
            })?;
        // Trust first: a leaf of a CA that the API server doesn't know would refuse every call.
        injection::ensure(&self.client, &self.endpoint, &bundle.trusted())
            .await
            .map_err(|source| LookError::Injection {
                configuration: self.endpoint.configuration.clone(),
                source,
            })?;
        if leaf.as_ref().is_none_or(|leaf| leaf.is_due(&bundle.current, now)) {
            let fresh = bundle.current.leaf(&self.endpoint.host(), now)?;
            self.served.replace(fresh.certified_key()?);
            tracing::info!(until = %fresh.not_after, "webhook certificate made");
            *leaf = Some(fresh);
        }
        Ok(())
    }
}
