//! A real broker: Debian's mosquitto, in a temporary directory and on a free port.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use rumqttc_v5::{
    AsyncClient, MqttOptions, PublishOptions, PublishProperties, TlsConfiguration, Transport, mqttbytes::QoS,
};
use tokio::task::JoinHandle;

use crate::broker::{PASSWORD, USER, listening, write_secrets};

pub struct Mosquitto {
    child: Child,
    pub port: u16,
    pub tls: bool,
    folder: PathBuf,
}

impl Mosquitto {
    /// Starts one that keeps its sessions in `folder` and asks for user and password.
    ///
    /// # Panics
    /// Where the program isn't there: a test that can't run fails.
    pub fn start(folder: &Path, tls: bool) -> Self {
        write_secrets(folder, tls);
        let made = Command::new(program("mosquitto_passwd"))
            .args(["-c", "-b"])
            .arg(folder.join("passwords"))
            .args([USER, PASSWORD])
            .status();
        assert!(made.unwrap().success());
        // Somebody else may take the port that was free a moment ago.
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = run(folder, port, tls) {
                return Self {
                    child,
                    port,
                    tls,
                    folder: folder.to_owned(),
                };
            }
        }
    }

    pub fn address(&self) -> String {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        format!("{scheme}://localhost:{}", self.port)
    }

    pub fn authority(&self) -> Option<Vec<u8>> {
        self.tls
            .then(|| std::fs::read(self.folder.join("certificate.pem")).unwrap())
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        self.child = std::iter::repeat_with(|| run(&self.folder, self.port, self.tls))
            .flatten()
            .next()
            .unwrap();
    }

    /// Whether a text is in what it has on disk.
    pub fn has_on_disk(&self, text: &str) -> bool {
        let stored = std::fs::read(self.folder.join("mosquitto.db")).unwrap_or_default();
        stored.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, port: u16, tls: bool) -> Option<Child> {
    let at = |name: &str| folder.join(name).display().to_string();
    let files = if tls {
        format!("certfile {}\nkeyfile {}\n", at("certificate.pem"), at("key.pem"))
    } else {
        String::new()
    };
    let configuration = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\npersistence true\npersistence_location {}/\n\
         autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n{files}",
        at("passwords"),
        folder.display()
    );
    std::fs::write(folder.join("mosquitto.conf"), configuration).unwrap();
    let mut command = Command::new(program("mosquitto"));
    listening(command.arg("-c").arg(folder.join("mosquitto.conf")), &[port])
}

fn program(name: &str) -> PathBuf {
    let found = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    found
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("this test needs `{name}`: install Debian's package `mosquitto`"))
}

/// A device that publishes with `QoS` 1.
pub struct Publisher {
    client: AsyncClient,
    running: JoinHandle<()>,
}

impl Publisher {
    /// With TLS where there is an authority to trust.
    pub fn connect(port: u16, authority: Option<Vec<u8>>) -> Self {
        daemon::tls::install_provider();
        let mut options = MqttOptions::new("device", ("localhost", port));
        options.set_credentials(USER, PASSWORD.as_bytes().to_vec());
        if let Some(ca) = authority {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca,
                alpn: None,
                client_auth: None,
            }));
        }
        let (client, mut events) = AsyncClient::builder(options).build();
        let running = tokio::spawn(async move { while events.poll().await.is_ok() {} });
        Self { client, running }
    }

    /// Returns when the broker has it.
    pub async fn publish(&self, topic: &str, payload: impl ToString, properties: &[(&str, &str)]) {
        let user_properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let options = PublishOptions::new(QoS::AtLeastOnce).properties(PublishProperties {
            user_properties,
            ..PublishProperties::default()
        });
        let sent = self.client.publish_tracked(topic, payload.to_string(), options).await;
        sent.unwrap().wait_async().await.unwrap();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.running.abort();
    }
}
