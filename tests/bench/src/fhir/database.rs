//! Where our own server keeps its data while it is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use test_postgres::PostgresServer;

/// What the PostgreSQL is started with that `--database postgres` asks for.
const SETTINGS: &[&str] = &["shared_buffers=512MB", "shared_preload_libraries=pg_stat_statements"];

/// A database, empty at first.
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// PostgreSQL.
    Postgres {
        /// Its URL.
        url: String,
        /// The process whose children serve it, if it is known.
        pid: Option<u32>,
        /// Ends with the measurement, if that started it.
        _own: Option<PostgresServer>,
    },
}

/// What PostgreSQL has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Statements, those of transactions too.
    pub statements: f64,
    /// Pages that were looked at, in its memory or not.
    pub pages: f64,
    /// Rows that statements gave or changed.
    pub rows: f64,
    /// Bytes of its log.
    pub log: f64,
}

impl Database {
    /// `sqlite`, `postgres` (starts one) or the URL of an empty database.
    pub fn of(name: &str, pid: Option<u32>, folder: &Path) -> Self {
        match name {
            "sqlite" => Self::Sqlite(folder.join("bench.db")),
            "postgres" => {
                let own = PostgresServer::start_with(SETTINGS);
                let database = Self::Postgres {
                    url: own.database(),
                    pid: Some(own.pid()),
                    _own: Some(own),
                };
                // without it statements aren't counted, and the rest goes on
                let _ = database.ask("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
                database
            }
            url => Self::Postgres {
                url: url.to_owned(),
                pid,
                _own: None,
            },
        }
    }

    /// Whether it is SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// As the server's option has it.
    pub fn option(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    /// Its processes, where they aren't the server's.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres { pid, .. } => *pid,
        }
    }

    /// Its bytes, when no server has it open.
    pub fn size(&self) -> Result<u64> {
        match self {
            Self::Sqlite(path) => {
                let beside = |end: &str| std::fs::metadata(format!("{}{end}", path.display()));
                let files = ["", "-wal", "-shm"].into_iter().filter_map(|end| beside(end).ok());
                Ok(files.map(|file| file.len()).sum())
            }
            Self::Postgres { .. } => {
                self.ask("VACUUM")?;
                let bytes = self.ask("SELECT pg_database_size(current_database())")?;
                bytes.trim().parse().context("a size")
            }
        }
    }

    /// What PostgreSQL has done so far, if it counts.
    pub fn done(&self) -> Option<Done> {
        let sql = "SELECT sum(calls), sum(shared_blks_hit + shared_blks_read), sum(rows), sum(wal_bytes) \
                   FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()";
        let line = self.ask(sql).ok()?;
        let mut numbers = line.trim().split('|').map(|number| number.parse().unwrap_or_default());
        let mut next = || numbers.next();
        Some(Done {
            statements: next()?,
            pages: next()?,
            rows: next()?,
            log: next()?,
        })
    }

    /// Asks PostgreSQL with its own client.
    fn ask(&self, sql: &str) -> Result<String> {
        let Self::Postgres { url, .. } = self else {
            anyhow::bail!("SQLite has no server that could be asked")
        };
        let asked = Command::new("psql").args([url.as_str(), "-qAt", "-c", sql]).output();
        let asked =
            asked.context("`psql` isn't there to ask PostgreSQL what it has done: install `postgresql-client`")?;
        anyhow::ensure!(
            asked.status.success(),
            "`{sql}`: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        Ok(String::from_utf8_lossy(&asked.stdout).into_owned())
    }
}
