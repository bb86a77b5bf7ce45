//! What is measured: our own server on a database, or any other by its URL.

use std::path::Path;

use anyhow::{Context, Result};

use super::Options;
use crate::load::Place;
use crate::process;
use crate::server::Server;

/// A server under load.
pub struct Target {
    /// Our own, where it is.
    pub server: Option<Server>,
    /// Where requests go.
    pub place: Place,
    /// Whether the numbers for SQLite are to be reached.
    pub is_sqlite: bool,
    pid: Option<u32>,
    database_pid: Option<u32>,
}

impl Target {
    /// Starts our own server, or takes the one that is named.
    pub async fn start(programs: &Path, folder: &Path, options: &Options) -> Result<Self> {
        let is_sqlite = options.database == "sqlite";
        if let Some(url) = &options.against {
            let rest = url
                .strip_prefix("http://")
                .context("only http:// URLs can be measured")?;
            let (address, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_end_matches('/');
            return Ok(Self {
                server: None,
                place: Place {
                    address: address.to_owned(),
                    prefix: if prefix.is_empty() {
                        String::new()
                    } else {
                        format!("/{prefix}")
                    },
                },
                is_sqlite,
                pid: options.pid,
                database_pid: options.database_pid,
            });
        }
        let database = if is_sqlite {
            format!("sqlite:{}", folder.join("bench.db").display())
        } else {
            options.database.clone()
        };
        let version = options.fhir_version.name();
        let arguments = [
            "serve",
            "--fhir-version",
            version,
            "--database",
            &database,
            "--anonymous",
        ];
        let program = programs.join("fhir-server");
        Server::start(&program, &arguments).await?.stop().await?; // makes the database
        let server = Server::start(&program, &arguments).await?;
        Ok(Self {
            place: Place {
                address: server.address.clone(),
                prefix: String::new(),
            },
            is_sqlite,
            pid: Some(server.pid()),
            database_pid: options.database_pid,
            server: Some(server),
        })
    }

    /// CPU seconds of server and database; nothing where they aren't known.
    pub fn cpu(&self) -> Result<(f64, f64)> {
        let server = self.pid.map(process::cpu_of_family).transpose()?;
        let database = self.database_pid.map(process::cpu_of_family).transpose()?;
        Ok((server.unwrap_or_default(), database.unwrap_or_default()))
    }

    /// Resident memory of the server in MiB.
    pub fn rss(&self) -> Option<f64> {
        process::rss(self.pid?).ok()
    }

    /// Bytes of the database; stops our own server, which folds its log into the file.
    pub async fn size(self, folder: &Path, options: &Options) -> Result<Option<u64>> {
        let Some(server) = self.server else { return Ok(None) };
        server.stop().await?;
        if self.is_sqlite {
            let sizes = std::fs::read_dir(folder)?
                .flatten()
                .filter(|file| file.file_name() != "sync");
            return Ok(Some(
                sizes.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum(),
            ));
        }
        let asked = std::process::Command::new("psql")
            .args([
                &options.database,
                "-qAt",
                "-c",
                "VACUUM",
                "-c",
                "SELECT pg_database_size(current_database())",
            ])
            .output();
        let size = asked
            .ok()
            .and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse().ok());
        if size.is_none() {
            eprintln!("`psql` isn't there to ask for the size of the database");
        }
        Ok(size)
    }
}
