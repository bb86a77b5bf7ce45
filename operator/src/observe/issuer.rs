//! Who signs the cluster's ServiceAccount tokens, and with which keys.

use std::sync::Arc;
use std::time::Duration;

use fhir_operator_core::ClusterIssuer;
use kube::Client;
use serde_json::Value;
use tokio::sync::watch;

/// How often the API server is asked again; keys change rarely, and the old ones stay valid for a while.
const LOOK: Duration = Duration::from_mins(5);

/// How soon again after a failure.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Why the issuer isn't known.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The API server doesn't say.
    #[error("`{path}` can't be read")]
    Read {
        /// The path.
        path: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// What it says isn't what it should be.
    #[error("`{path}` holds no {what}")]
    Content {
        /// The path.
        path: &'static str,
        /// What was looked for.
        what: &'static str,
    },
}

/// The issuer as last read.
#[derive(Clone, Debug)]
pub struct IssuerCell(Arc<watch::Sender<Option<Arc<ClusterIssuer>>>>);

impl Default for IssuerCell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl IssuerCell {
    /// The issuer, if it is known already.
    pub fn get(&self) -> Option<Arc<ClusterIssuer>> {
        self.0.borrow().clone()
    }

    /// Waits until the issuer is known, or for as long as `patience`: a look without it would take the issuer away from
    /// services that have it.
    pub async fn known(&self, patience: Duration) {
        let mut issuer = self.0.subscribe();
        if tokio::time::timeout(patience, issuer.wait_for(Option::is_some))
            .await
            .is_err()
        {
            tracing::warn!(
                "going on without the issuer of ServiceAccount tokens: connectors have no access until it is known"
            );
        }
    }

    /// Reads again and again, and tells when something changed. Never returns.
    pub async fn follow(self, client: Client, changed: impl Fn()) {
        loop {
            let pause = match read(&client).await {
                Ok(read) => {
                    let differs = self.0.send_if_modified(|issuer| {
                        let differs = issuer.as_deref() != Some(&read);
                        if differs {
                            *issuer = Some(Arc::new(read));
                        }
                        differs
                    });
                    if differs {
                        changed();
                    }
                    LOOK
                }
                Err(error) => {
                    let error = daemon::process::describe(&error);
                    tracing::warn!(error, "the issuer of ServiceAccount tokens isn't known");
                    LOOK_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

async fn read(client: &Client) -> Result<ClusterIssuer, IssuerError> {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    const KEYS: &str = "/openid/v1/jwks";
    let discovery = text(client, DISCOVERY).await?;
    let issuer = serde_json::from_str::<Value>(&discovery)
        .ok()
        .and_then(|document| document.get("issuer")?.as_str().map(ToOwned::to_owned))
        .ok_or(IssuerError::Content {
            path: DISCOVERY,
            what: "issuer",
        })?;
    let keys = text(client, KEYS).await?;
    let jwks = in_order(&keys).ok_or(IssuerError::Content {
        path: KEYS,
        what: "keys",
    })?;
    Ok(ClusterIssuer { issuer, jwks })
}

async fn text(client: &Client, path: &'static str) -> Result<String, IssuerError> {
    let read = |source| IssuerError::Read { path, source };
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|source| read(kube::Error::HttpError(source)))?;
    client.request_text(request).await.map_err(read)
}

/// The key set with its keys in the order of their ids, so that two API servers that list them differently don't make
/// two different documents.
fn in_order(keys: &str) -> Option<String> {
    let mut set: Value = serde_json::from_str(keys).ok()?;
    let keys = set.get_mut("keys")?.as_array_mut()?;
    keys.sort_by_key(|key| key.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned());
    Some(set.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let (one, other) = (
            r#"{"keys":[{"kid":"b"},{"kid":"a"}]}"#,
            r#"{"keys":[{"kid":"a"},{"kid":"b"}]}"#,
        );
        assert_eq!(in_order(one), in_order(other));
        assert_eq!(in_order("{}"), None);
    }
}
