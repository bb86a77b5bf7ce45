//! Authentication, and roles by grants.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bearer::{Claims, ConfigurationError, Endpoints, Issuer, KeySource, Options, Verifier};
use daemon::files::{LOOK_INTERVAL, Look, WatchedFile};
use fhir_server_settings::{Access, Role};
use http::HeaderValue;
use thiserror::Error;

use super::principal::{Identity, Principal};
use super::scopes::Scopes;
use crate::http::failure::{Failure, Result};

/// Access settings that can't be used.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file can't be read.
    #[error("access file `{path}` can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file isn't there.
    #[error("access file `{0}` does not exist")]
    Missing(PathBuf),
    /// Not YAML or JSON of the expected form.
    #[error("access file `{path}` can't be understood")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_yaml::Error,
    },
    /// An issuer can't be used.
    #[error("an issuer can't be used")]
    Issuer(#[from] ConfigurationError),
}

/// Who may do what.
pub struct AccessControl {
    mode: Mode,
    smart: bool,
}

enum Mode {
    Anonymous,
    Tokens(Arc<ArcSwap<InForce>>),
}

/// Issuers and grants in force.
struct InForce {
    /// `None` without issuers: no token is good.
    verifier: Option<Verifier>,
    access: Access,
}

impl InForce {
    fn of(access: Access) -> Result<Self, AccessError> {
        let issuers: Vec<Issuer> = access
            .issuers
            .iter()
            .map(|issuer| Issuer {
                authority: issuer.authority.clone(),
                audiences: issuer.audiences.clone(),
                keys: match &issuer.jwks_file {
                    Some(path) => KeySource::File(path.clone()),
                    None => KeySource::Discovery {
                        ca_bundle: issuer.ca_file.clone(),
                    },
                },
            })
            .collect();
        let verifier = if issuers.is_empty() {
            None
        } else {
            Some(Verifier::start(&issuers, &Options::default())?)
        };
        Ok(Self { verifier, access })
    }

    /// A challenge that says where tokens are had, and for what, in the words of Microsoft's server. Of several issuers it
    /// is the first.
    fn challenge(&self, reason: &str) -> String {
        let Some(issuer) = self.access.issuers.first() else {
            return reason.to_owned();
        };
        let quoted = |text: &str| text.replace(['"', '\\'], "");
        let audience = issuer.audiences.first().map(|audience| quoted(audience));
        let (authority, audience) = (quoted(&issuer.authority), audience.unwrap_or_default());
        let mut challenge =
            format!(r#"Bearer authorization_uri="{authority}", resource_id="{audience}", realm="{audience}""#);
        if let Some(error) = reason.strip_prefix("Bearer ") {
            challenge.push_str(", ");
            challenge.push_str(error);
        }
        challenge
    }

    fn roles(&self, claims: &Claims) -> Vec<Role> {
        let holds = |subject: &fhir_server_settings::Subject| {
            subject.issuer.as_ref().is_none_or(|issuer| *issuer == claims.issuer)
                && claims.texts(&subject.claim).any(|value| value == subject.value)
        };
        let grants = self
            .access
            .grants
            .iter()
            .filter(|grant| grant.subjects.iter().any(holds));
        grants.map(|grant| grant.role).collect()
    }
}

impl AccessControl {
    fn of(mode: Mode) -> Self {
        Self { mode, smart: false }
    }

    /// With the scopes of SMART apps, if they count.
    #[must_use]
    pub fn with_smart(self, smart: bool) -> Self {
        Self { smart, ..self }
    }

    /// Everybody may do everything.
    pub fn anonymous() -> Self {
        Self::of(Mode::Anonymous)
    }

    /// Issuers and grants that don't change.
    pub fn fixed(access: Access) -> Result<Self, AccessError> {
        let in_force = ArcSwap::from_pointee(InForce::of(access)?);
        Ok(Self::of(Mode::Tokens(Arc::new(in_force))))
    }

    /// Issuers and grants of a file; the future reads it again when it changes, for as long as it is polled. A file that
    /// can't be understood leaves what is in force.
    pub fn watched(path: PathBuf) -> Result<(Self, impl Future<Output = ()> + Send + use<>), AccessError> {
        let mut file = WatchedFile::new(&path);
        let bytes = match file.look().map_err(|source| AccessError::Read {
            path: path.clone(),
            source,
        })? {
            Look::Changed(bytes) => bytes,
            Look::Same | Look::Missing => return Err(AccessError::Missing(path)),
        };
        let cell = Arc::new(ArcSwap::from_pointee(parse(&path, &bytes)?));
        let watched = Arc::clone(&cell);
        let watch = async move {
            loop {
                tokio::time::sleep(LOOK_INTERVAL).await;
                look_again(&mut file, &path, &watched);
            }
        };
        Ok((Self::of(Mode::Tokens(cell)), watch))
    }

    /// Where clients of the first issuer ask, if it has said so.
    pub fn endpoints(&self) -> Option<Endpoints> {
        let Mode::Tokens(cell) = &self.mode else { return None };
        cell.load().verifier.as_ref().and_then(Verifier::endpoints)
    }

    /// Whether no token is asked for.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.mode, Mode::Anonymous)
    }

    /// Who sent this `Authorization` header; `scopes` reads the SMART scopes of a token, where they count.
    pub async fn authenticate(
        &self,
        authorization: Option<&HeaderValue>,
        scopes: impl Fn(&Claims) -> Result<Scopes>,
    ) -> Result<Arc<Principal>> {
        let Mode::Tokens(cell) = &self.mode else {
            return Ok(Principal::anyone());
        };
        let in_force = cell.load_full();
        let Some(verifier) = &in_force.verifier else {
            return Err(Failure::unauthenticated(in_force.challenge("Bearer")));
        };
        let header = authorization.and_then(|value| value.to_str().ok());
        match verifier.authenticate(header).await {
            Ok(claims) => {
                let roles = in_force.roles(&claims);
                let principal = if self.smart && roles.contains(&Role::SmartUser) {
                    Principal::with_scopes(roles, scopes(&claims)?)
                } else {
                    Principal::with(roles)
                };
                Ok(Arc::new(principal.known(Identity::of(&claims))))
            }
            Err(error) if error.is_temporary() => Err(Failure::unavailable(error.to_string())),
            Err(error) => Err(Failure::unauthenticated(in_force.challenge(&error.challenge()))),
        }
    }
}

/// Puts a changed file in force.
fn look_again(file: &mut WatchedFile, path: &Path, in_force: &ArcSwap<InForce>) {
    let read = match file.look() {
        Ok(Look::Changed(bytes)) => parse(path, &bytes),
        Ok(Look::Same | Look::Missing) => return,
        Err(source) => Err(AccessError::Read {
            path: path.to_owned(),
            source,
        }),
    };
    match read {
        Ok(read) => {
            in_force.store(Arc::new(read));
            tracing::info!("issuers and grants were read again");
        }
        Err(error) => {
            let error = daemon::process::describe(&error);
            tracing::error!(%error, "issuers and grants stay as they were");
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<InForce, AccessError> {
    let access = serde_yaml::from_slice(bytes);
    InForce::of(access.map_err(|source| AccessError::Form {
        path: path.to_owned(),
        source,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_makes_no_sense_leaves_what_is_in_force() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("access.json");
        let grant = |role: &str| {
            format!(r#"{{"grants": [{{"role": "{role}", "subjects": [{{"claim": "sub", "value": "a"}}]}}]}}"#)
        };
        let mut file = WatchedFile::new(&path);
        let in_force = ArcSwap::from_pointee(InForce::of(Access::default()).expect("nobody"));
        let mut roles = |text: &str| {
            std::fs::write(&path, text).expect("the file");
            look_again(&mut file, &path, &in_force);
            let grants = &in_force.load().access.grants;
            grants.iter().map(|grant| grant.role).collect::<Vec<_>>()
        };
        assert_eq!(roles(&grant("Reader")), [Role::Reader]);
        assert_eq!(roles("{ grants: 7"), [Role::Reader]);
        assert_eq!(roles(&grant("Contributor")), [Role::Contributor]);
        std::fs::remove_file(&path).expect("gone");
        look_again(&mut file, &path, &in_force);
        assert_eq!(in_force.load().access.grants.len(), 1);
    }
}
