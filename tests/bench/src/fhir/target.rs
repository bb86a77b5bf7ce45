//! What is measured: our own server on a database, or any other by its URL.

use std::path::Path;

use anyhow::{Context, Result};

use super::data::Version;
use super::database::Database;
use crate::load::Place;
use crate::process;
use crate::server::Server;

/// A server under load.
pub struct Target<'a> {
    /// Our own, where it is.
    pub server: Option<Server>,
    /// Where requests go.
    pub place: Place,
    database: Option<&'a Database>,
    pids: Vec<u32>,
}

/// CPU seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Of the server.
    pub server: f64,
    /// Of PostgreSQL.
    pub database: f64,
}

impl Cpu {
    /// What was used since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            server: self.server - before.server,
            database: self.database - before.database,
        }
    }

    /// Of both.
    pub fn sum(self) -> f64 {
        self.server + self.database
    }
}

impl std::ops::AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.server += other.server;
        self.database += other.database;
    }
}

/// The options of our own server.
pub fn arguments(database: &Database, version: Version) -> [String; 6] {
    [
        "serve",
        "--anonymous",
        "--fhir-version",
        version.name(),
        "--database",
        &database.option(),
    ]
    .map(str::to_owned)
}

impl<'a> Target<'a> {
    /// Starts our own server; `fresh`: where its database has to be made first.
    pub async fn start(programs: &Path, database: &'a Database, version: Version, fresh: bool) -> Result<Self> {
        let arguments = arguments(database, version);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = programs.join("fhir-server");
        if fresh {
            Server::start(&program, &arguments).await?.stop().await?;
        }
        let server = Server::start(&program, &arguments).await?;
        Ok(Self {
            place: Place::of(&server.address),
            pids: vec![server.pid()],
            server: Some(server),
            database: Some(database),
        })
    }

    /// Any other server, by its base URL, and the processes whose CPU counts.
    pub fn against(url: &str, pids: &[u32]) -> Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .context("only http:// URLs can be measured")?;
        let (address, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Self {
            server: None,
            place: Place {
                address: address.to_owned(),
                prefix: format!("{slash}{prefix}"),
            },
            database: None,
            pids: pids.to_vec(),
        })
    }

    /// Whether it is our own.
    pub fn is_own(&self) -> bool {
        self.server.is_some()
    }

    /// What has to be reached: SQLite's number or PostgreSQL's; of another server nothing.
    pub fn wanted(&self, (sqlite, postgres): (f64, f64)) -> Option<f64> {
        self.database
            .map(|database| if database.is_sqlite() { sqlite } else { postgres })
    }

    /// CPU of server and database so far; `None` where no process is known.
    pub fn cpu(&self) -> Result<Option<Cpu>> {
        if self.pids.is_empty() {
            return Ok(None);
        }
        let mut cpu = Cpu::default();
        for pid in &self.pids {
            cpu.server += process::cpu_of_family(*pid)?;
        }
        if let Some(pid) = self.database.and_then(Database::pid) {
            cpu.database = process::cpu_of_family(pid)?;
        }
        Ok(Some(cpu))
    }

    /// Resident memory of the server in MiB.
    pub fn rss(&self) -> Option<f64> {
        let all = self.pids.iter().map(|pid| process::rss(*pid).ok());
        all.sum::<Option<f64>>().filter(|_| !self.pids.is_empty())
    }

    /// Ends our own server.
    pub async fn stop(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}
