//! A connection to the brokers: who we are, whom we trust, and which partitions there are.

use std::{path::Path, sync::Arc, time::Duration};

use iot_connector_settings::{Kafka, SaslMechanism};
use rskafka::{
    BackoffConfig, BackoffError, ConnectionError,
    client::{Client, ClientBuilder, Credentials, SaslConfig, error::Error},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::source::{
    SourceError,
    secrets::{self, Named},
};

/// What fails is tried again for so long before it is told: long enough for a partition to find a new leader.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects, with the files as they are now.
pub(super) async fn connect(settings: &Kafka) -> Result<Client, SourceError> {
    let secrets = Named {
        folder: settings.secret_folder.as_deref(),
        username: settings.username_file.as_deref(),
        password: settings.password_file.as_deref(),
        authorities: settings.ca_file.as_deref(),
        ..Named::default()
    }
    .read()?;
    let patience = BackoffConfig {
        deadline: Some(PATIENCE),
        ..BackoffConfig::default()
    };
    let mut builder = ClientBuilder::new(settings.brokers.clone())
        .client_id("iot-connector")
        .backoff_config(patience);
    if settings.tls {
        builder = builder.tls_config(Arc::new(tls(secrets.authorities.as_deref())?));
    }
    if let (Some(username), Some(password)) = (secrets.username, secrets.password) {
        let credentials = Credentials::new(username, password);
        builder = builder.sasl_config(match settings.mechanism {
            SaslMechanism::Plain => SaslConfig::Plain(credentials),
            SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
            SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
        });
    }
    builder.build().await.map_err(told)
}

/// All partitions of the topics, in their order.
pub(super) async fn partitions(client: &Client, topics: &[String]) -> Result<Vec<(String, i32)>, SourceError> {
    let there = client.list_topics().await.map_err(told)?;
    let mut found = Vec::new();
    for topic in topics {
        let Some(there) = there.iter().find(|there| there.name == *topic) else {
            return Err(SourceError(format!(
                "there is no topic `{topic}`, or this user may not see it: create or allow it, or correct `source.kafka.topics`"
            )));
        };
        found.extend(there.partitions.iter().map(|number| (topic.clone(), *number)));
    }
    Ok(found)
}

/// What a client says, which names no secret. That it tried for a while is no news.
pub(super) fn told(error: Error) -> SourceError {
    SourceError(match error {
        Error::RetryFailed(BackoffError::DeadlineExceded { source, .. })
        | Error::Connection(ConnectionError::RetryFailed(BackoffError::DeadlineExceded { source, .. })) => {
            source.to_string()
        }
        other => other.to_string(),
    })
}

fn tls(authorities: Option<&Path>) -> Result<ClientConfig, SourceError> {
    let mut trusted = RootCertStore::empty();
    if let Some(path) = authorities {
        let wrong = || SourceError(format!("`{}` holds no certificate in PEM form", path.display()));
        for certificate in CertificateDer::pem_slice_iter(&secrets::authorities(path)?) {
            let added = certificate.ok().and_then(|certificate| trusted.add(certificate).ok());
            added.ok_or_else(wrong)?;
        }
    } else {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(trusted)
        .with_no_client_auth())
}
