//! A certificate authority and the leaves that it signs, pure but for the random keys.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;

/// How long a CA is good for.
const CA_LIFE: Duration = Duration::from_hours(365 * 24);

/// A CA is exchanged when less than this is left.
const CA_LEFT: Duration = Duration::from_hours(90 * 24);

/// How long a leaf is good for; it lives in one process's memory and is replaced without a restart.
const LEAF_LIFE: Duration = Duration::from_hours(7 * 24);

/// A leaf is replaced when less than this is left.
const LEAF_LEFT: Duration = Duration::from_hours(2 * 24);

/// Certificates begin to be valid this long ago: clocks of API servers differ from ours.
const SKEW: Duration = Duration::from_mins(5);

/// Why no certificate can be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key or the certificate can't be made.
    #[error("a certificate can't be made")]
    Make(#[from] rcgen::Error),
    /// What was made can't be served.
    #[error("a certificate can't be served")]
    Serve(#[from] daemon::tls::TlsError),
    /// The time is outside of what certificates can say.
    #[error("`{0}` can't be written into a certificate")]
    Time(Timestamp),
}

/// A certificate authority: its certificate, its key, and until when it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS#8.
    pub key: String,
    /// Until when.
    pub not_after: Timestamp,
}

/// A server certificate of this process.
#[derive(Debug)]
pub struct Leaf {
    chain: String,
    key: String,
    authority: String,
    /// Until when.
    pub not_after: Timestamp,
}

impl Authority {
    /// A new authority with a new key.
    pub fn generate(now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let not_after = now + CA_LIFE;
        let mut params = params();
        valid(&mut params, now - SKEW, not_after)?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            certificate,
            key: key.serialize_pem(),
            not_after,
        })
    }

    /// Whether it is time for another one.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now + CA_LEFT >= self.not_after
    }

    /// Signs a server certificate for `host` with a new key.
    pub fn leaf(&self, host: &str, now: Timestamp) -> Result<Leaf, CertificateError> {
        let authority = params();
        let issuer = Issuer::from_params(&authority, KeyPair::from_pem(&self.key)?);
        let key = KeyPair::generate()?;
        let not_after = (now + LEAF_LIFE).min(self.not_after);
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name = named(host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, now - SKEW, not_after)?;
        let chain = params.signed_by(&key, &issuer)?.pem();
        Ok(Leaf {
            chain,
            key: key.serialize_pem(),
            authority: self.certificate.clone(),
            not_after,
        })
    }
}

impl Leaf {
    /// Whether it is time for another one: soon over, or of another authority than the current one.
    pub fn is_due(&self, current: &Authority, now: Timestamp) -> bool {
        now + LEAF_LEFT >= self.not_after || self.authority != current.certificate
    }

    /// As TLS serves it.
    pub fn certified_key(&self) -> Result<CertifiedKey, CertificateError> {
        Ok(daemon::tls::certified_key(self.chain.as_bytes(), self.key.as_bytes())?)
    }
}

/// What is the same for every authority of ours, so that a leaf can be signed knowing only the key.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("fhir-operator webhook");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// `params` valid from `from` to `until`. rcgen has a date type of its own, reached here from its epoch.
fn valid(params: &mut CertificateParams, from: Timestamp, until: Timestamp) -> Result<(), CertificateError> {
    let seconds = |time: Timestamp| u64::try_from(time.as_second()).map_err(|_| CertificateError::Time(time));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(seconds(from)?);
    params.not_after = epoch + Duration::from_secs(seconds(until)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T20:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_leaf_is_trusted_through_its_authority() {
        daemon::tls::install_provider();
        let authority = Authority::generate(now()).unwrap();
        let leaf = authority
            .leaf("fhir-operator-webhook.fhir-operator.svc", now())
            .unwrap();
        leaf.certified_key().unwrap();
        assert!(leaf.not_after < authority.not_after);
    }

    #[test]
    fn each_is_replaced_in_time() {
        let authority = Authority::generate(now()).unwrap();
        assert!(!authority.is_due(now()));
        assert!(authority.is_due(now() + Duration::from_hours(300 * 24)));
        let leaf = authority.leaf("a.b.svc", now()).unwrap();
        assert!(!leaf.is_due(&authority, now()));
        assert!(leaf.is_due(&authority, now() + Duration::from_hours(6 * 24)));
        assert!(leaf.is_due(&Authority::generate(now()).unwrap(), now()));
    }
}
