//! A real NATS server with JetStream and its MQTT listener, in a temporary directory and on free ports.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use async_nats::{ConnectOptions, HeaderMap, jetstream};

use crate::broker::{PASSWORD, USER, listening, write_secrets};

pub struct NatsServer {
    child: Child,
    folder: PathBuf,
    pub port: u16,
    pub mqtt_port: u16,
    pub tls: bool,
}

impl NatsServer {
    /// Starts one that keeps its streams in `folder` and asks for user and password.
    ///
    /// # Panics
    /// Where the program isn't there: a test that can't run fails.
    pub fn start(folder: &Path, tls: bool) -> Self {
        write_secrets(folder, tls);
        // Somebody else may take a port that was free a moment ago.
        loop {
            let [port, mqtt_port] = free_ports();
            if let Some(child) = run(folder, port, mqtt_port, tls) {
                return Self {
                    child,
                    folder: folder.to_owned(),
                    port,
                    mqtt_port,
                    tls,
                };
            }
        }
    }

    pub fn address(&self) -> String {
        let scheme = if self.tls { "tls" } else { "nats" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        self.child = std::iter::repeat_with(|| run(&self.folder, self.port, self.mqtt_port, self.tls))
            .flatten()
            .next()
            .unwrap();
    }

    pub async fn jetstream(&self) -> jetstream::Context {
        daemon::tls::install_provider();
        let mut options = ConnectOptions::with_user_and_password(USER.to_owned(), PASSWORD.to_owned());
        if self.tls {
            options = options.add_root_certificates(self.folder.join("certificate.pem"));
        }
        jetstream::new(options.connect(self.address()).await.unwrap())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the stream of all devices.
pub async fn make_stream(jetstream: &jetstream::Context) {
    let config = jetstream::stream::Config {
        name: "DEVICES".to_owned(),
        subjects: vec!["devices.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
}

/// Returns when the stream has it.
pub async fn publish(jetstream: &jetstream::Context, subject: &str, body: impl ToString, headers: &[(&str, &str)]) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let sent = jetstream.publish_with_headers(subject.to_owned(), map, body.to_string().into());
    sent.await.unwrap().await.unwrap();
}

fn free_ports() -> [u16; 2] {
    let held = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn run(folder: &Path, port: u16, mqtt_port: u16, tls: bool) -> Option<Child> {
    let at = |name: &str| folder.join(name).display().to_string();
    let certificate = if tls {
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n",
            at("certificate.pem"),
            at("key.pem")
        )
    } else {
        String::new()
    };
    let configuration = format!(
        "server_name: test\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n\
         mqtt {{ listen: \"127.0.0.1:{mqtt_port}\" }}\n\
         authorization {{ users: [ {{ user: \"{USER}\", password: \"{PASSWORD}\" }} ] }}\n{certificate}",
        at("streams")
    );
    std::fs::write(folder.join("nats.conf"), configuration).unwrap();
    let mut command = Command::new(program());
    listening(
        command.arg("--config").arg(folder.join("nats.conf")),
        &[port, mqtt_port],
    )
}

fn program() -> PathBuf {
    let on_path = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders)
            .map(|folder| folder.join("nats-server"))
            .find(|path| path.exists())
    };
    std::env::var_os("NATS_SERVER")
        .map(PathBuf::from)
        .or_else(on_path)
        .expect("this test needs `nats-server`: `cargo xtask test` builds it; or name one in `NATS_SERVER`")
}
