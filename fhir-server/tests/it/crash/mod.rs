//! Killed at random points under mixed load: every acknowledged write is there, no transaction is there by half, and
//! bodies, index rows and history agree; on PostgreSQL, which is killed now and then, too.
//!
//! `LONG_TESTS=1` kills up to a thousand times, `CRASH_SEED` repeats the decisions of a run (not the moments of the kernel).

mod client;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use reqwest::StatusCode;
use tempfile::TempDir;
use test_length::Dice;
use test_postgres::PostgresServer;

use crate::program::{self, Program};
use client::Client;

/// Who writes at a time, each to resources of its own but for conditional creates.
const CLIENTS: u64 = 6;
/// Kills after which the database is proved by itself, too.
const CHECK_EVERY: u32 = 10;
/// Kills of a short and of a long run.
const KILLS: (u32, u32) = (20, 1_000);
/// Acknowledged writes before a kill, at most.
const MOST: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_keeps_what_it_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    killed_under_load(program::database(folder.path()), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_too_even_if_that_is_killed() {
    // its own, since it is killed
    let postgres = PostgresServer::start();
    killed_under_load(postgres.database(), Some(&postgres)).await;
}

async fn killed_under_load(database: String, postgres: Option<&PostgresServer>) {
    let seed = test_length::crash_seed();
    let mut dice = Dice::new(seed);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|name| Client::new(name, seed)).collect();
    let name = if postgres.is_some() {
        "kills on PostgreSQL"
    } else {
        "kills on SQLite"
    };
    for kill in test_length::rounds(name, KILLS.0, KILLS.1) {
        if dice.below(5) == 0 {
            killed_early(&database, &mut dice).await;
        }
        let mut program = Program::ready(&database).await;
        for client in &mut clients {
            client.settle(&program).await;
        }
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let enough = dice.below(MOST);
        let base: Arc<str> = Arc::from(program.base.as_str());
        let working = clients.into_iter().map(|client| {
            let (base, acknowledged) = (Arc::clone(&base), Arc::clone(&acknowledged));
            tokio::spawn(client.work(base, acknowledged))
        });
        let working: Vec<_> = working.collect();
        while acknowledged.load(Ordering::Relaxed) < enough {
            assert!(
                !working.iter().any(tokio::task::JoinHandle::is_finished),
                "kill {kill}: a client ended before"
            );
            tokio::task::yield_now().await;
        }
        for _ in 0..dice.below(2_000) {
            tokio::task::yield_now().await;
        }
        match postgres {
            Some(postgres) if dice.below(3) == 0 => {
                postgres.crash();
                program.kill();
                postgres.restart();
            }
            Some(postgres) => {
                program.kill();
                end_connections(postgres, &database);
            }
            None => program.kill(),
        }
        let ended = join_all(working).await;
        clients = ended.into_iter().map(|client| client.expect("no panic")).collect();
        if (kill + 1) % CHECK_EVERY == 0 {
            program::check(&database);
        }
    }
    let program = Program::ready(&database).await;
    for client in &mut clients {
        client.settle(&program).await;
        client.prove_all(&program).await;
    }
    client::prove_single(&program, &clients).await;
    drop(program);
    program::check(&database);
}

/// Ends what a killed server has asked for: it might be done later, when its clients have looked already.
fn end_connections(postgres: &PostgresServer, database: &str) {
    let name = database.rsplit('/').next().unwrap_or_default();
    let sql = format!("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'");
    postgres.sql("postgres", &sql);
}

/// Kills it while it starts.
async fn killed_early(database: &str, dice: &mut Dice) {
    let mut program = Program::begin(database);
    for _ in 0..dice.below(40) {
        if program.status("health/ready").await == Some(StatusCode::OK) {
            break;
        }
    }
    program.kill();
}
