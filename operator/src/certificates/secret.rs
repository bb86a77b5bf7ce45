//! The Secret that holds the CA, shared by all replicas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};

use super::{Authority, CertificateError, Endpoint};

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
/// The CA before this one; trusted as long as leaves of it may be served.
const PREVIOUS: &str = "previous.crt";
/// Until when the CA is good, so that nobody has to parse certificates.
const NOT_AFTER: &str = "fhir-operator.dev/not-after";

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The CA that signs.
    pub current: Authority,
    /// PEM of the one before.
    pub previous: Option<String>,
}

/// Why there is no CA.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server says no.
    #[error("the API server refuses")]
    Api(#[from] kube::Error),
    /// No CA can be made.
    #[error("a CA can't be made")]
    Make(#[from] CertificateError),
}

impl Bundle {
    /// All CAs to trust, PEM.
    pub fn trusted(&self) -> String {
        let previous = self.previous.as_deref().unwrap_or_default();
        format!("{}{previous}", self.current.certificate)
    }

    fn read(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        let not_after = secret.metadata.annotations.as_ref()?.get(NOT_AFTER)?.parse().ok()?;
        let current = Authority {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
            not_after,
        };
        Some(Self {
            current,
            previous: text(PREVIOUS),
        })
    }

    fn write(&self, name: &str, version: Option<String>) -> Secret {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = BTreeMap::from([
            (CERTIFICATE.to_owned(), bytes(&self.current.certificate)),
            (KEY.to_owned(), bytes(&self.current.key)),
        ]);
        if let Some(previous) = &self.previous {
            data.insert(PREVIOUS.to_owned(), bytes(previous));
        }
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: version,
                annotations: Some([(NOT_AFTER.to_owned(), self.current.not_after.to_string())].into()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "fhir-operator".to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        }
    }
}

/// The CA in force: read, made where there is none, exchanged where it is due and `may_exchange`.
pub async fn ensure(
    client: &Client,
    endpoint: &Endpoint,
    may_exchange: bool,
    now: Timestamp,
) -> Result<Bundle, SecretError> {
    let api = Api::<Secret>::namespaced(client.clone(), &endpoint.namespace);
    let name = &endpoint.secret;
    let Some(stored) = api.get_opt(name).await? else {
        let fresh = Bundle {
            current: Authority::generate(now)?,
            previous: None,
        };
        return match api.create(&PostParams::default(), &fresh.write(name, None)).await {
            Ok(_) => Ok(fresh),
            // The other replica was faster: its CA is the one.
            Err(kube::Error::Api(status)) if status.is_already_exists() => match Bundle::read(&api.get(name).await?) {
                Some(bundle) => Ok(bundle),
                None => Err(kube::Error::Api(status).into()),
            },
            Err(error) => Err(error.into()),
        };
    };
    let next = match Bundle::read(&stored) {
        Some(bundle) if !may_exchange || !bundle.current.is_due(now) => return Ok(bundle),
        Some(bundle) => Bundle {
            current: Authority::generate(now)?,
            previous: Some(bundle.current.certificate),
        },
        None => Bundle {
            current: Authority::generate(now)?,
            previous: None,
        },
    };
    tracing::info!(secret = name, "CA exchanged");
    api.replace(
        name,
        &PostParams::default(),
        &next.write(name, stored.metadata.resource_version),
    )
    .await?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_reads_as_it_was_written() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let previous = Some("-----BEGIN CERTIFICATE-----\n".to_owned());
        let bundle = Bundle {
            current: Authority::generate(now).unwrap(),
            previous,
        };
        let read = Bundle::read(&bundle.write("ca", None)).unwrap();
        assert_eq!(read, bundle);
        assert!(bundle.trusted().starts_with(&bundle.current.certificate));
    }

    #[test]
    fn a_secret_that_is_no_ca_is_none() {
        assert_eq!(Bundle::read(&Secret::default()), None);
    }
}
