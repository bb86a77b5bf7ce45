//! What an operation does, in numbers that don't depend on the machine: each is done by itself over one connection, on a
//! server that counts (`fhir-server-counted`).

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::data::{Data, Known, Version};
use super::database::{Database, Done};
use super::operations::{self, Operation};
use super::target::arguments;
use crate::load::{Place, closed_loop};
use crate::process;
use crate::report::{Table, figure};
use crate::server::Server;

/// How often an operation is done before it is counted: prepares statements and fills caches.
const BEFORE: usize = 100;
/// How often it is done then.
const TIMES: usize = 200;
/// Where requests begin: those that make something new aren't those of the load.
const OFFSET: usize = 1 << 20;
/// Whole patients, which are large.
const BUNDLES: usize = 4;

/// What one operation did, on average.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// What the table calls it.
    pub name: String,
    /// Statements of the database.
    pub statements: f64,
    /// Rows written, one for each table; on PostgreSQL those that were given, too.
    pub rows: f64,
    /// What it looked at: steps of SQLite's machine, pages of PostgreSQL.
    pub visited: f64,
    /// Allocations of the server, without those of SQLite and zstd.
    pub allocations: f64,
    /// Their bytes.
    pub allocated: f64,
    /// Bytes read from files.
    pub read: f64,
    /// Bytes written to files; on PostgreSQL to its log.
    pub written: f64,
    /// Bytes of the answer's body.
    pub answer: f64,
    /// What it found: entries, or the number that it counted.
    pub results: f64,
}

/// What `fhir-server-counted` says.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Said {
    statements: f64,
    steps: f64,
    rows: f64,
    allocations: f64,
    allocated: f64,
}

/// All counters at a moment.
struct Snapshot {
    said: Said,
    files: process::Bytes,
    postgres: Option<Done>,
}

struct Counting<'a> {
    server: Server,
    place: Place,
    database: &'a Database,
}

impl<'a> Counting<'a> {
    async fn start(programs: &Path, database: &'a Database, version: Version) -> Result<Self> {
        let arguments = arguments(database, version);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start_talking(&programs.join("fhir-server-counted"), &arguments).await?;
        Ok(Self {
            place: Place::of(&server.address),
            server,
            database,
        })
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let line = self.server.ask()?;
        Ok(Snapshot {
            said: serde_json::from_str(&line).with_context(|| format!("`{line}` are no counters"))?,
            files: process::bytes_of_family(self.server.pid())?,
            postgres: self.database.done(),
        })
    }

    async fn one(&mut self, operation: &Operation) -> Result<Work> {
        let (before, times) = match operation.name {
            operations::TRANSACTION => (1, BUNDLES - 1),
            _ => (BEFORE, TIMES),
        };
        let place = self.place.clone();
        send(&place, operation, OFFSET..OFFSET + before).await?;
        let begun = self.snapshot()?;
        let from = OFFSET + before;
        let (bytes, results) = send(&place, operation, from..from + times).await?;
        let ended = self.snapshot()?;
        Ok(between(operation, &begun, &ended, times, bytes, results))
    }
}

/// Sends requests over one connection; the bytes of their answers, and what was found.
async fn send(place: &Place, operation: &Operation, requests: Range<usize>) -> Result<(usize, usize)> {
    let (bytes, results) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen, found) = (Arc::clone(&bytes), Arc::clone(&results));
    let request = Arc::clone(&operation.request);
    let answered = move |_, body: &[u8]| {
        seen.fetch_add(body.len(), Ordering::Relaxed);
        found.fetch_add(results_of(body), Ordering::Relaxed);
    };
    let (address, statuses) = (&place.address, operation.statuses);
    closed_loop(address, 1, requests, statuses, move |n| request(n), answered).await?;
    Ok((bytes.load(Ordering::Relaxed), results.load(Ordering::Relaxed)))
}

fn between(
    operation: &Operation,
    begun: &Snapshot,
    ended: &Snapshot,
    times: usize,
    bytes: usize,
    results: usize,
) -> Work {
    // of a transaction each resource counts
    let each = match operation.name {
        operations::TRANSACTION => operation.creates.max(1) as f64,
        _ => times as f64,
    };
    let files = |bytes: fn(&process::Bytes) -> u64| bytes(&ended.files).saturating_sub(bytes(&begun.files)) as f64;
    let mut work = Work {
        name: operation.name.to_owned(),
        statements: ended.said.statements - begun.said.statements,
        rows: ended.said.rows - begun.said.rows,
        visited: ended.said.steps - begun.said.steps,
        allocations: ended.said.allocations - begun.said.allocations,
        allocated: ended.said.allocated - begun.said.allocated,
        read: files(|bytes| bytes.read),
        written: files(|bytes| bytes.written),
        answer: bytes as f64,
        results: results as f64,
    };
    if let (Some(begun), Some(ended)) = (begun.postgres, ended.postgres) {
        work.statements = ended.statements - begun.statements;
        work.rows = ended.rows - begun.rows;
        work.visited = ended.pages - begun.pages;
        work.written = ended.log - begun.log;
    }
    for number in [
        &mut work.statements,
        &mut work.rows,
        &mut work.visited,
        &mut work.allocations,
        &mut work.allocated,
        &mut work.read,
        &mut work.written,
        &mut work.answer,
        &mut work.results,
    ] {
        *number /= each;
    }
    work
}

/// What an answer shows: its entries, or the total of a count.
fn results_of(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    let entries = text.matches("\"fullUrl\"").count();
    let total = || {
        text.split_once("\"total\":")?
            .1
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    if entries > 0 { entries } else { total().unwrap_or(0) }
}

/// Does each operation on a database that nobody has open, and counts.
pub async fn count(
    programs: &Path,
    database: &Database,
    version: Version,
    data: &mut Data,
    (asked, written): (&[Known], &[Known]),
    only: Option<&str>,
) -> Result<Vec<Work>> {
    let mut counting = Counting::start(programs, database, version).await?;
    let place = counting.place.clone();
    let bundles = std::iter::once(operations::transactions(&data.few(BUNDLES), &place));
    let mut all = Vec::new();
    for operation in bundles.chain(operations::all(asked, written, &place)) {
        if only.is_none_or(|only| operation.name.contains(only)) {
            all.push(counting.one(&operation).await?);
        }
    }
    counting.server.stop().await?;
    Ok(all)
}

/// As a table.
pub fn table(all: &[Work], database: &Database) -> Table {
    let (visited, rows, written) = if database.is_sqlite() {
        ("steps", "rows written", "bytes written")
    } else {
        ("pages", "rows", "bytes of the log")
    };
    let columns = [
        "Operation",
        "statements",
        rows,
        visited,
        "allocations",
        "bytes allocated",
        "file bytes read",
        written,
        "bytes answered",
    ];
    let rows = all.iter().map(|work| {
        let numbers = [
            work.statements,
            work.rows,
            work.visited,
            work.allocations,
            work.allocated,
            work.read,
            work.written,
            work.answer,
        ];
        let name = std::iter::once(work.name.clone());
        name.chain(numbers.map(figure)).collect()
    });
    Table {
        about: "What one operation does by itself (of a transaction one resource), on a server that counts:".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_entries_or_what_was_counted() {
        assert_eq!(results_of(br#"{"total":1600}"#), 1600);
        assert_eq!(
            results_of(br#"{"total":7,"entry":[{"fullUrl":"a"},{"fullUrl":"b"}]}"#),
            2
        );
        assert_eq!(results_of(b"{}"), 0);
    }
}
