//! A stream of NATS JetStream as the source of messages.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SettingsError, refuse, within};

/// A stream of NATS JetStream. It has to be there; the consumer is made if it isn't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Nats {
    /// Where it is
    #[serde(flatten)]
    pub at: NatsServers,
    /// The stream's name
    pub stream: String,
    /// Names the durable consumer, which remembers what was acknowledged; no other program may use it
    pub consumer: String,
    /// Only messages with such subjects (`devices.*.readings`, `devices.>`); none: all of the stream
    pub subjects: Vec<String>,
    /// Messages that the server may deliver before the first of them is acknowledged
    pub max_ack_pending: u16,
    /// The token of the subject, from 1, that is the device's id; absent: the id is in the message only
    pub device_token: Option<u16>,
}

/// NATS servers with JetStream, and who we are to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NatsServers {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS: any of these servers is asked first, they name the others
    pub servers: Vec<String>,
    /// Folder with any of the files `username`, `password`, `token`, `user.creds` and `ca.crt`, for those that aren't named
    /// below
    pub secret_folder: Option<PathBuf>,
    /// File with the user name, read at every connect
    pub username_file: Option<PathBuf>,
    /// File with the password, read at every connect
    pub password_file: Option<PathBuf>,
    /// File with a token instead of user and password, read at every connect
    pub token_file: Option<PathBuf>,
    /// File with a user's JWT and key (`.creds`) instead of user and password, read at every connect
    pub credentials_file: Option<PathBuf>,
    /// PEM file with the authorities to trust instead of the system's, read at every connect
    pub ca_file: Option<PathBuf>,
}

/// The options of [`NatsServers`] where they stand.
pub(crate) struct ServerOptions {
    whole: &'static str,
    servers: &'static str,
    username: &'static str,
}

const OF_SOURCE: ServerOptions = ServerOptions {
    whole: "source.nats",
    servers: "source.nats.servers",
    username: "source.nats.usernameFile",
};

/// Those of a shared spool.
pub(crate) const OF_SPOOL: ServerOptions = ServerOptions {
    whole: "spool.shared.nats",
    servers: "spool.shared.nats.servers",
    username: "spool.shared.nats.usernameFile",
};

impl Default for Nats {
    fn default() -> Self {
        Self {
            at: NatsServers::default(),
            stream: String::new(),
            consumer: String::new(),
            subjects: Vec::new(),
            max_ack_pending: 2000,
            device_token: None,
        }
    }
}

impl NatsServers {
    pub(crate) fn validate(&self, options: &ServerOptions) -> Result<(), SettingsError> {
        if self.servers.is_empty() || !self.servers.iter().all(|server| is_server(server)) {
            return refuse(
                options.servers,
                "name at least one server as `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS; user and password belong in files",
            );
        }
        let ways = [&self.username_file, &self.token_file, &self.credentials_file];
        if ways.into_iter().flatten().count() > 1 {
            return refuse(
                options.whole,
                "name one of `usernameFile`, `tokenFile` and `credentialsFile`",
            );
        }
        if self.secret_folder.is_none() && self.username_file.is_some() != self.password_file.is_some() {
            return refuse(options.username, "user name and password have to be named together");
        }
        Ok(())
    }
}

impl Nats {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        self.at.validate(&OF_SOURCE)?;
        if !is_name(&self.stream) {
            return refuse("source.nats.stream", "is required: the name of a JetStream stream");
        }
        if !is_name(&self.consumer) {
            return refuse(
                "source.nats.consumer",
                "is required: names the durable consumer, without spaces and any of `.*>/\\`",
            );
        }
        within(
            "source.nats.maxAckPending",
            u64::from(self.max_ack_pending),
            1,
            u64::from(u16::MAX),
        )?;
        within(
            "source.nats.deviceToken",
            u64::from(self.device_token.unwrap_or(1)),
            1,
            u64::from(u16::MAX),
        )
    }
}

fn is_server(server: &str) -> bool {
    let rest = server.strip_prefix("nats://").or_else(|| server.strip_prefix("tls://"));
    rest.is_some_and(|rest| {
        let host = rest.strip_suffix('/').unwrap_or(rest);
        !host.is_empty() && !host.starts_with(':') && !host.contains(['/', '@', ' '])
    })
}

/// What JetStream takes as the name of a stream or a consumer.
fn is_name(name: &str) -> bool {
    let forbidden = |character: char| character.is_whitespace() || ".*>/\\".contains(character);
    !name.is_empty() && !name.contains(forbidden)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::least(json!({}), None)]
    #[case::no_servers(json!({"servers": []}), Some("source.nats.servers"))]
    #[case::no_scheme(json!({"servers": ["broker:4222"]}), Some("source.nats.servers"))]
    #[case::secret_in_the_address(json!({"servers": ["nats://u:p@broker"]}), Some("source.nats.servers"))]
    #[case::no_host(json!({"servers": ["tls://:4222"]}), Some("source.nats.servers"))]
    #[case::no_stream(json!({"stream": ""}), Some("source.nats.stream"))]
    #[case::subject_as_stream(json!({"stream": "devices.>"}), Some("source.nats.stream"))]
    #[case::no_consumer(json!({"consumer": ""}), Some("source.nats.consumer"))]
    #[case::user(json!({"usernameFile": "u", "passwordFile": "p"}), None)]
    #[case::user_alone(json!({"usernameFile": "u"}), Some("source.nats.usernameFile"))]
    #[case::password_alone(json!({"passwordFile": "p"}), Some("source.nats.usernameFile"))]
    #[case::two_ways(json!({"tokenFile": "t", "credentialsFile": "c"}), Some("source.nats"))]
    #[case::pending(json!({"maxAckPending": 0}), Some("source.nats.maxAckPending"))]
    #[case::token(json!({"deviceToken": 0}), Some("source.nats.deviceToken"))]
    fn settings_are_judged(#[case] change: Value, #[case] refused: Option<&str>) {
        let mut file = json!({"servers": ["tls://broker"], "stream": "DEVICES", "consumer": "connector"});
        file.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let nats: Nats = serde_json::from_value(file).unwrap();
        assert_eq!(nats.validate().err().map(|error| error.option), refused);
    }
}
