//! Places of pages as clients get them: sealed, so that nobody reads or makes one, and bound to the search and to who
//! asks. The keys are the database's, so that a place is good on every replica; one is made each day, and the one before
//! still opens what it has sealed.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fhir_storage::{PageKey, Store};

use super::failure::{Failure, Result};

/// What is said of a place that this service didn't give, or not to this caller, or not for this search, or long ago.
pub const BAD_PLACE: &str = "The continuation token is invalid.";

/// Microseconds for which a key seals: a place is good for one to two days.
const DAY: i64 = 86_400_000_000;

/// Seals and opens places.
pub struct Places {
    store: Arc<Store>,
    known: RwLock<Arc<Vec<Key>>>,
}

struct Key {
    id: u32,
    made: i64,
    cipher: RandomizedNonceKey,
}

impl Places {
    /// With the keys of this database.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            known: RwLock::default(),
        }
    }

    /// A place as a client gets it; `bound` says of which search it is, and whose.
    pub async fn seal(&self, bound: &str, place: &str) -> Result<String> {
        let keys = self.sealing().await?;
        let Some(newest) = keys.first() else {
            return Err(Failure::unavailable(
                "There is no key for continuation tokens at the moment.",
            ));
        };
        let mut sealed = place.as_bytes().to_vec();
        let nonce = newest
            .cipher
            .seal_in_place_append_tag(Aad::from(bound), &mut sealed)
            .map_err(|error| Failure::internal(&error))?;
        let mut token = newest.id.to_be_bytes().to_vec();
        token.extend_from_slice(nonce.as_ref());
        token.extend(sealed);
        Ok(BASE64_URL_SAFE_NO_PAD.encode(token))
    }

    /// What was sealed.
    pub async fn open(&self, bound: &str, token: &str) -> Result<String> {
        let bad = || Failure::invalid(format!("{BAD_PLACE} Start the search again, without `ct`."));
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
        let (id, rest) = token.split_first_chunk::<4>().ok_or_else(bad)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(bad)?;
        let id = u32::from_be_bytes(*id);
        let mut keys = self.known();
        if !keys.iter().any(|key| key.id == id) {
            // another replica may have made it
            keys = self.load().await?;
        }
        let key = keys.iter().find(|key| key.id == id).ok_or_else(bad)?;
        let mut sealed = sealed.to_vec();
        let place = key
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut sealed)
            .map_err(|_| bad())?;
        String::from_utf8(place.to_vec()).map_err(|_| bad())
    }

    fn known(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys, the first of which is young enough to seal.
    async fn sealing(&self) -> Result<Arc<Vec<Key>>> {
        let now = jiff::Timestamp::now().as_microsecond();
        let is_young = |keys: &[Key]| keys.first().is_some_and(|key| key.made > now - DAY);
        let keys = self.known();
        if is_young(&keys) {
            return Ok(keys);
        }
        let keys = self.load().await?;
        if is_young(&keys) {
            return Ok(keys);
        }
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|error| Failure::internal(&error))?;
        let key = PageKey {
            id: 0,
            made: now,
            secret,
        };
        let kept = self.store.renew_page_keys(key, now - DAY).await;
        kept.map_err(|error| {
            tracing::warn!(error = %daemon::process::describe(&error), "no key for continuation tokens could be made");
            Failure::unavailable("There is no key for continuation tokens at the moment.")
        })?;
        self.load().await
    }

    async fn load(&self) -> Result<Arc<Vec<Key>>> {
        let keys = self.store.page_keys().await;
        let keys = keys.map_err(|error| {
            tracing::error!(error = %daemon::process::describe(&error), "the database can't be read");
            Failure::unavailable("The database can't be read at the moment.")
        })?;
        let keys = keys.into_iter().map(|PageKey { id, made, secret }| {
            let cipher = RandomizedNonceKey::new(&AES_256_GCM, &secret)?;
            Ok(Key { id, made, cipher })
        });
        let keys = keys
            .collect::<std::result::Result<Vec<_>, aws_lc_rs::error::Unspecified>>()
            .map_err(|error| Failure::internal(&error))?;
        let keys = Arc::new(keys);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use fhir_definitions::FhirVersion;
    use fhir_storage::{Database, StoreOptions};
    use tempfile::TempDir;

    use super::*;

    async fn store() -> (TempDir, Arc<Store>) {
        let folder = TempDir::new().expect("folder");
        let options = StoreOptions {
            database: Database::Sqlite(folder.path().join("test.db")),
            version: FhirVersion::R4,
            readers: 1,
            statement: std::time::Duration::MAX,
        };
        let store = Store::open(&options).await.expect("the store opens");
        (folder, store)
    }

    #[tokio::test]
    async fn a_place_is_good_on_every_replica_for_its_search_alone() {
        let (_folder, store) = store().await;
        let replicas = [Places::new(Arc::clone(&store)), Places::new(store)];
        let token = replicas[0].seal("Patient?a=b", "5.a").await.expect("sealed");
        assert_eq!(replicas[1].open("Patient?a=b", &token).await.expect("opened"), "5.a");
        for (bound, token) in [
            ("Patient?a=c", token.as_str()),
            ("Patient?a=b", ""),
            ("Patient?a=b", "!"),
            ("Patient?a=b", "AAAA"),
        ] {
            let failure = replicas[1].open(bound, token).await.expect_err("refused");
            assert_eq!(failure.status, http::StatusCode::BAD_REQUEST, "{bound} {token}");
        }
        let other = replicas[1].seal("Patient?a=b", "5.a").await.expect("sealed");
        assert_ne!(token, other);
    }

    #[tokio::test]
    async fn a_key_opens_until_the_second_one_after_it() {
        let (_folder, store) = store().await;
        let token = Places::new(Arc::clone(&store)).seal("x", "5").await.expect("sealed");
        for opens in [true, false] {
            let now = jiff::Timestamp::now().as_microsecond();
            let key = PageKey {
                id: 0,
                made: now,
                secret: [7; 32],
            };
            store.renew_page_keys(key, now).await.expect("another key");
            let replica = Places::new(Arc::clone(&store));
            assert_eq!(replica.open("x", &token).await.is_ok(), opens);
        }
    }
}
