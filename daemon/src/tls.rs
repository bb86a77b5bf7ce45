//! TLS by rustls with aws-lc-rs: the provider, and server certificates that are read again when their files change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;
use tracing::{info, warn};

use crate::files::{LOOK_INTERVAL, Look, WatchedFile};

/// Why a certificate can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("`{path}` can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no PEM of the kind expected.
    #[error("`{path}` holds no {what} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
    },
    /// Key and certificate don't work together.
    #[error("the certificate and key can't be used")]
    Pair(#[source] rustls::Error),
}

/// Makes aws-lc-rs the process-wide provider. Call it first; calling it again does nothing.
pub fn install_provider() {
    // An error only says that a provider is installed, which is what is wanted.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// The authorities of a file, as PEM: one or more certificates, each of which can be read.
pub fn authorities(path: &Path) -> Result<Vec<u8>, TlsError> {
    let pem = std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let all: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(pem),
        _ => Err(TlsError::Pem {
            path: path.to_owned(),
            what: "certificate",
        }),
    }
}

/// A server configuration (ALPN h2 and http/1.1) whose key pair can be replaced while it serves.
pub fn server_config(key: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_cert_resolver(key);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Parses a chain and its key from PEM.
pub fn certified_key(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
    certified_key_of(Path::new("certificate"), chain, Path::new("key"), key)
}

fn certified_key_of(chain_path: &Path, chain: &[u8], key_path: &Path, key: &[u8]) -> Result<CertifiedKey, TlsError> {
    let missing = |path: &Path, what| TlsError::Pem {
        path: path.to_owned(),
        what,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| missing(chain_path, "certificate"))?;
    if certificates.is_empty() {
        return Err(missing(chain_path, "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| missing(key_path, "private key"))?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider()).map_err(TlsError::Pair)
}

/// A key pair that is exchanged as a whole; handshakes that come later use the new one.
#[derive(Debug)]
pub struct ReplaceableKey {
    current: ArcSwap<CertifiedKey>,
}

impl ReplaceableKey {
    /// Serves `key` until it is replaced.
    pub fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwap::from_pointee(key),
        })
    }

    /// Serves `key` from the next handshake on.
    pub fn replace(&self, key: CertifiedKey) {
        self.current.store(Arc::new(key));
    }
}

impl ResolvesServerCert for ReplaceableKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

/// The files of a server certificate (`tls.crt`, `tls.key` of a Kubernetes Secret).
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// PEM, the server's certificate first.
    pub chain: PathBuf,
    /// PEM, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads the pair and keeps a task on this runtime that exchanges it when the files change. A pair that can't be
    /// used is reported, and the last good one goes on.
    pub fn serve(self) -> Result<Arc<ReplaceableKey>, TlsError> {
        let key = ReplaceableKey::new(self.read()?);
        let served = Arc::downgrade(&key);
        let mut files = [WatchedFile::new(&self.chain), WatchedFile::new(&self.key)];
        for file in &mut files {
            let _ = file.look();
        }
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(LOOK_INTERVAL);
            loop {
                interval.tick().await;
                let Some(served) = served.upgrade() else { return };
                let looks = files.each_mut().map(|file| matches!(file.look(), Ok(Look::Changed(_))));
                if !looks.contains(&true) {
                    continue;
                }
                match self.read() {
                    Ok(pair) => {
                        served.replace(pair);
                        info!(chain = %self.chain.display(), "certificate read again");
                    }
                    Err(error) => warn!("{}; the last certificate stays", crate::process::describe(&error)),
                }
            }
        });
        Ok(key)
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read {
                path: path.to_owned(),
                source,
            })
        };
        certified_key_of(&self.chain, &read(&self.chain)?, &self.key, &read(&self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_certificates_one_at_least() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        assert!(matches!(authorities(&path), Err(TlsError::Read { .. })));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        for garbage in [
            "",
            "garbage",
            &key,
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, garbage).unwrap();
            assert!(matches!(authorities(&path), Err(TlsError::Pem { .. })), "{garbage}");
        }
        let two = certificate.repeat(2);
        std::fs::write(&path, &two).unwrap();
        assert_eq!(authorities(&path).unwrap(), two.as_bytes());
    }
}
