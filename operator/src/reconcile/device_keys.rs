//! Device keys: made here once, kept in a Secret that is created and never read, known afterwards by their SHA-256.
//!
//! The digest is written before the Secret, so that a crash in between loses no key: whichever key the Secret ends up
//! with, its digest is among those that are accepted.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir_operator_core::fhir_service::Foreign;
use fhir_operator_core::iot_connector::Validated;
use fhir_operator_core::iot_connector::keys::{KeyList, WantedConnection};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::PostParams;
use sha2::{Digest, Sha256};

use super::children::Round;
use super::{Context, ReconcileError};
use crate::kubernetes::apply::hex;
use crate::kubernetes::stored::Stored;
use crate::observe::store::Name;

/// Bytes of randomness in a key.
const BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system has no randomness to give.
    #[error("no random key can be made")]
    Random,
    /// What is known of the keys can't be read.
    #[error("ConfigMap `{name}` can't be read")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// The Secret can't be created.
    #[error("Secret `{name}` can't be created")]
    Create {
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

/// A key that only its Secret will know.
pub struct DeviceKey {
    text: String,
}

impl DeviceKey {
    /// A new one.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
        Ok(Self {
            text: URL_SAFE_NO_PAD.encode(bytes),
        })
    }

    /// The key itself, for its Secret.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Lower-case hexadecimal SHA-256 of the text, as connectors compare it.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.text))
    }
}

/// Applies `NAME-iot-keys`, and makes the keys whose Secrets aren't known to exist. Gives the ConfigMap as it is then.
pub async fn settle(
    keys: ConfigMap,
    missing: &[WantedConnection],
    validated: &Validated,
    round: &mut Round<'_>,
    context: &Context,
) -> Result<ConfigMap, ReconcileError> {
    let store = &context.index.config_maps;
    if missing.is_empty() && store.get(&Name::of(&keys)).is_some() {
        round.apply(&keys, store).await?;
        return Ok(keys);
    }
    // What the cache doesn't know yet may have been written a moment ago, and a digest that is lost is a key that is lost.
    let (owner, connections) = (&validated.owner, &validated.connections);
    let mut list = KeyList::read(live(&keys, context).await?.as_ref()).current(Timestamp::now());
    let wanted: Vec<WantedConnection> = list.missing(connections).into_iter().cloned().collect();
    for connection in &wanted {
        let key = DeviceKey::generate()?;
        list.propose(connection, &key.sha256());
        round.write(&list.config_map(owner, connections)).await?;
        match create(&connection.secret(owner, key.reveal()), context).await? {
            Created::Now => list.confirm(connection, &key.sha256(), Timestamp::now()),
            Created::Before => {
                if list.conflict(connection, &key.sha256(), Timestamp::now()).is_err() {
                    round.taken(Foreign {
                        kind: "Secret".to_owned(),
                        name: connection.secret_name.clone(),
                    });
                }
            }
        }
    }
    let settled = list.config_map(owner, connections);
    round.write(&settled).await?;
    Ok(settled)
}

async fn live(keys: &ConfigMap, context: &Context) -> Result<Option<ConfigMap>, KeyError> {
    let name = Name::of(keys);
    let api = Api::<Stored<ConfigMap>>::namespaced(context.client.clone(), &name.namespace);
    match api.get_opt(&name.name).await {
        Ok(found) => Ok(found.and_then(|Stored(read)| read.ok())),
        Err(source) => Err(KeyError::Read {
            name: name.name,
            source,
        }),
    }
}

enum Created {
    Now,
    Before,
}

async fn create(secret: &Secret, context: &Context) -> Result<Created, KeyError> {
    let name = Name::of(secret);
    let api = Api::<Secret>::namespaced(context.client.clone(), &name.namespace);
    match api.create(&PostParams::default(), secret).await {
        Ok(_) => Ok(Created::Now),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Created::Before),
        Err(source) => Err(KeyError::Create {
            name: name.name,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_fit_into_a_header() {
        let (one, other) = (DeviceKey::generate().unwrap(), DeviceKey::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 43);
        assert_eq!(one.sha256().len(), 64);
        assert!(
            one.reveal()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }
}
