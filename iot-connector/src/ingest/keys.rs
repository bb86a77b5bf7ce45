//! Connection keys: a device shows a key, and we hold a list of SHA-256 hashes that may change while we run.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use daemon::files::{LOOK_INTERVAL, Look, WatchedFile};
use iot_connector_settings::{ConnectionKeys, KEY_HEADER};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tracing::{info, warn};

/// Why a device isn't let in. The messages are safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No key was sent.
    #[error("a connection key is required: send `Authorization: Bearer KEY` or `{KEY_HEADER}: KEY`")]
    Missing,
    /// The key isn't one of the list, or its time is over.
    #[error("the connection key isn't valid: it is unknown, or it was replaced more than its grace period ago")]
    Unknown,
}

/// Why a keys file can't be used.
#[derive(Debug, Error)]
enum ListError {
    #[error("it isn't a list of keys")]
    Form(#[from] serde_yaml::Error),
    #[error("key of connection `{0}`: `sha256` isn't 64 hexadecimal digits")]
    Hash(String),
    #[error("key of connection `{0}`: `notAfter` isn't an RFC 3339 time")]
    NotAfter(String),
}

struct Accepted {
    connection: Arc<str>,
    sha256: [u8; 32],
    not_after: Option<Timestamp>,
}

/// The keys that let devices send.
pub struct Keys {
    accepted: ArcSwap<Vec<Accepted>>,
}

impl Keys {
    /// Who has a key of the file; it is followed on this runtime. A missing file lets nobody in until it appears, and a
    /// list that can't be used leaves the last one in force.
    pub fn follow(path: PathBuf) -> Arc<Self> {
        let keys = Arc::new(Self {
            accepted: ArcSwap::default(),
        });
        if !path.exists() {
            warn!(path = %path.display(), "there are no connection keys yet: nobody is let in with one until the file appears");
        }
        let mut file = WatchedFile::new(path);
        keys.look(&mut file);
        tokio::spawn(follow(Arc::downgrade(&keys), file));
        keys
    }

    /// The connection whose key this is.
    pub fn check(&self, key: Option<&str>, now: Timestamp) -> Result<Arc<str>, KeyError> {
        let key = key.filter(|key| !key.is_empty()).ok_or(KeyError::Missing)?;
        let shown: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let accepted = self.accepted.load();
        // Every key is compared, whichever matches, so that time tells nothing.
        let mut found = None;
        for key in accepted.iter() {
            let same: bool = key.sha256.ct_eq(&shown).into();
            let current = key.not_after.is_none_or(|end| now < end);
            if same && current {
                found = Some(key.connection.clone());
            }
        }
        found.ok_or(KeyError::Unknown)
    }

    fn look(&self, file: &mut WatchedFile) {
        match file.look() {
            Ok(Look::Same) => {}
            Ok(Look::Changed(text)) => match parse(&text) {
                Ok(accepted) => {
                    info!(keys = accepted.len(), "connection keys are in force");
                    self.accepted.store(Arc::new(accepted));
                }
                Err(error) => warn!(path = %file.path().display(), "{error}; the last keys stay"),
            },
            // A deleted list must not leave its keys open.
            Ok(Look::Missing) => {
                if !self.accepted.swap(Arc::default()).is_empty() {
                    warn!(path = %file.path().display(), "the connection keys are gone: nobody is let in with one");
                }
            }
            Err(error) => warn!(path = %file.path().display(), %error, "keys can't be read; the last ones stay"),
        }
    }
}

async fn follow(keys: Weak<Keys>, mut file: WatchedFile) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        interval.tick().await;
        let Some(keys) = keys.upgrade() else { return };
        keys.look(&mut file);
    }
}

fn parse(text: &[u8]) -> Result<Vec<Accepted>, ListError> {
    let list: ConnectionKeys = serde_yaml::from_slice(text)?;
    list.keys
        .into_iter()
        .map(|key| {
            let Some(sha256) = from_hex(&key.sha256) else {
                return Err(ListError::Hash(key.connection));
            };
            let not_after = key.not_after.map(|end| end.parse::<Timestamp>()).transpose();
            let Ok(not_after) = not_after else {
                return Err(ListError::NotAfter(key.connection));
            };
            Ok(Accepted {
                connection: key.connection.into(),
                sha256,
                not_after,
            })
        })
        .collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Keys {
        Keys {
            accepted: ArcSwap::from_pointee(parse(text.as_bytes()).unwrap()),
        }
    }

    /// SHA-256 of `secret`.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn only_a_listed_key_is_let_in() {
        let keys = list(&format!("keys: [{{connection: ward, sha256: {SECRET}}}]"));
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(&*keys.check(Some("secret"), now).unwrap(), "ward");
        assert_eq!(keys.check(Some("Secret"), now), Err(KeyError::Unknown));
        assert_eq!(keys.check(None, now), Err(KeyError::Missing));
        assert_eq!(keys.check(Some(""), now), Err(KeyError::Missing));
    }

    #[test]
    fn a_replaced_key_ends_at_its_time() {
        let keys = list(&format!(
            r#"{{"keys":[{{"connection":"w","sha256":"{SECRET}","notAfter":"2026-01-02T00:00:00Z"}}]}}"#
        ));
        let end: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert!(
            keys.check(Some("secret"), end - jiff::SignedDuration::from_secs(1))
                .is_ok()
        );
        assert_eq!(keys.check(Some("secret"), end), Err(KeyError::Unknown));
    }

    #[test]
    fn a_list_that_is_wrong_is_named() {
        assert!(matches!(
            parse(b"keys: [{connection: a, sha256: abc}]"),
            Err(ListError::Hash(_))
        ));
        assert!(matches!(parse(b"keys: 1"), Err(ListError::Form(_))));
    }
}
