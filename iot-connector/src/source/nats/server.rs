//! A connection to a NATS server.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use iot_connector_settings::NatsServers;
use tokio::sync::watch;

use crate::source::{SourceError, secrets::Named};

/// How long the server may take to answer.
pub const ANSWER: Duration = Duration::from_secs(10);

/// A connection, until it breaks.
pub struct Server {
    /// What speaks with it.
    pub client: Client,
    /// Why it broke.
    broken: watch::Receiver<Option<String>>,
}

impl Server {
    /// Connects once, with the secrets as the files are now.
    pub async fn connect(settings: &NatsServers) -> Result<Self, SourceError> {
        let (tell, broken) = watch::channel(None);
        let options = options(settings)?.event_callback(move |event| {
            let reason = match event {
                Event::Disconnected | Event::Closed => Some("the connection was lost".to_owned()),
                Event::ServerError(error) => Some(error.to_string()),
                Event::ClientError(error) => Some(error.to_string()),
                // The server says how many messages it left out of one subscription; they come again.
                Event::SlowConsumer(_) | Event::Connected | Event::Draining | Event::LameDuckMode => None,
            };
            if let Some(reason) = reason {
                tell.send_if_modified(|told| told.is_none() && told.replace(reason).is_none());
            }
            async {}
        });
        let servers = &settings.servers[..];
        let client = options
            .connect(servers)
            .await
            .map_err(|error| SourceError(daemon::process::describe(&error)))?;
        Ok(Self { client, broken })
    }

    /// Resolves when the connection breaks.
    pub async fn broken(&mut self) -> SourceError {
        let reason = self.broken.wait_for(Option::is_some).await;
        let reason = reason.ok().and_then(|reason| reason.clone());
        SourceError(reason.unwrap_or_else(|| "the connection was closed".to_owned()))
    }
}

/// Who we are and whom we trust, as the files say now.
fn options(settings: &NatsServers) -> Result<ConnectOptions, SourceError> {
    let secrets = Named {
        folder: settings.secret_folder.as_deref(),
        username: settings.username_file.as_deref(),
        password: settings.password_file.as_deref(),
        token: settings.token_file.as_deref(),
        credentials: settings.credentials_file.as_deref(),
        authorities: settings.ca_file.as_deref(),
    }
    .read()?;
    let mut options = ConnectOptions::new()
        .name("iot-connector")
        .connection_timeout(ANSWER)
        // Whoever reads connects again, with the files as they are then.
        .max_reconnects(1);
    if let Some(credentials) = &secrets.credentials {
        // What is wrong with the text could show a part of it.
        let wrong = |_| SourceError("the credentials aren't what NATS writes into a `.creds` file".to_owned());
        options = options.credentials(credentials).map_err(wrong)?;
    } else if let Some(token) = secrets.token {
        options = options.token(token);
    } else if let (Some(username), Some(password)) = (secrets.username, secrets.password) {
        options = options.user_and_password(username, password);
    }
    if let Some(path) = secrets.authorities {
        options = options.add_root_certificates(path);
    }
    Ok(options)
}
