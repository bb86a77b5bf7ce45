//! The way of a token: cache, issuer, key, signature, audience, validity.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    BearerError, Claims, ConfigurationError, Endpoints, Issuer,
    cache::{Cache, Entry, Hash, hash},
    provider::{Known, Provider},
    token::{Token, shorten},
};

/// How a verifier behaves; the defaults are for production.
#[derive(Debug, Clone)]
pub struct Options {
    /// Clocks may differ by so much.
    pub leeway: Duration,
    /// Verified tokens that are kept.
    pub cached_tokens: usize,
    /// Keys are fetched again so often, asked or not.
    pub refresh_every: Duration,
    /// An unknown key id makes an issuer be asked at most so often.
    pub refresh_at_most_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leeway: Duration::from_mins(1),
            cached_tokens: 1024,
            refresh_every: Duration::from_mins(10),
            refresh_at_most_every: Duration::from_secs(5),
        }
    }
}

/// Verifies tokens of the trusted issuers. Dropping it ends its background tasks.
pub struct Verifier {
    providers: Vec<Arc<Provider>>,
    cache: Cache,
    leeway: i64,
}

impl Verifier {
    /// Starts to fetch the issuers' keys on this runtime; it waits for none of them. Needs the TLS provider installed.
    pub fn start(issuers: &[Issuer], options: &Options) -> Result<Self, ConfigurationError> {
        let providers = issuers
            .iter()
            .map(|issuer| Provider::start(issuer, options))
            .collect::<Result<_, _>>()?;
        let leeway = i64::try_from(options.leeway.as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            providers,
            cache: Cache::new(options.cached_tokens),
            leeway,
        })
    }

    /// Where clients of the first issuer ask; `None` before its first answer.
    pub fn endpoints(&self) -> Option<Endpoints> {
        let known = self.providers.first()?.known()?;
        Some(known.endpoints.clone())
    }

    /// Verifies what an `Authorization` header says (`None`: there is no such header).
    pub async fn authenticate(&self, header: Option<&str>) -> Result<Arc<Claims>, BearerError> {
        self.verify(token_of(header)?).await
    }

    /// Verifies a token.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>, BearerError> {
        let now = now();
        let hash = hash(token);
        if let Some(claims) = self.cached(&hash, now)? {
            return Ok(claims);
        }
        let parsed = Token::parse(token)?;
        let provider = self
            .providers
            .iter()
            .position(|provider| provider.is_issuer(&parsed.issuer));
        let Some(index) = provider else {
            return Err(BearerError::Issuer(shorten(&parsed.issuer)));
        };
        let provider = &self.providers[index];
        let known = known_for(provider, &parsed).await?;
        if known.issuer != parsed.issuer {
            return Err(BearerError::Issuer(shorten(&parsed.issuer)));
        }
        check_signature(&known, &parsed)?;
        let (members, expires) = parsed.valid(&provider.audiences, now, self.leeway)?;
        let claims = Arc::new(Claims::new(
            known.issuer.clone(),
            provider.authority.clone(),
            expires,
            members,
        ));
        self.cache.put(Entry {
            hash,
            claims: claims.clone(),
            provider: index,
            generation: known.generation,
        });
        Ok(claims)
    }

    fn cached(&self, hash: &Hash, now: i64) -> Result<Option<Arc<Claims>>, BearerError> {
        let Some(entry) = self.cache.get(hash) else {
            return Ok(None);
        };
        // A key that its issuer withdrew must not live on in the cache.
        let generation = self.providers[entry.provider].known().map(|known| known.generation);
        if generation != Some(entry.generation) {
            return Ok(None);
        }
        if now >= entry.claims.expires.saturating_add(self.leeway) {
            return Err(BearerError::Expired);
        }
        Ok(Some(entry.claims.clone()))
    }
}

/// The issuer's keys, asked for again when they don't have the token's.
async fn known_for(provider: &Arc<Provider>, token: &Token<'_>) -> Result<Arc<Known>, BearerError> {
    let id = token.key_id.as_deref();
    if let Some(known) = provider.known().filter(|known| known.keys.knows(id)) {
        return Ok(known);
    }
    provider.refresh().await;
    provider.known().ok_or(BearerError::KeysUnavailable)
}

fn check_signature(known: &Known, token: &Token<'_>) -> Result<(), BearerError> {
    let id = token.key_id.as_deref();
    if !known.keys.knows(id) {
        return Err(BearerError::Key(shorten(id.unwrap_or("without an id"))));
    }
    let mut candidates = known.keys.candidates(id, token.algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(BearerError::Algorithm(format!("{:?}", token.algorithm)));
    }
    if candidates.any(|key| token.is_signed_by(key)) {
        Ok(())
    } else {
        Err(BearerError::Signature)
    }
}

fn token_of(header: Option<&str>) -> Result<&str, BearerError> {
    let header = header.ok_or(BearerError::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(BearerError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::Scheme);
    }
    match token.trim() {
        "" => Err(BearerError::Missing),
        token => Ok(token),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
