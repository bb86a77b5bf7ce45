//! Removes the index rows of search parameters that are used no more.

use std::sync::Arc;
use std::time::Duration;

use fhir_storage::{Job, NewJob};
use uuid::Uuid;

use super::{Stop, advance};
use crate::server::Server;

/// What the jobs are called.
pub const KIND: &str = "sweep";

/// A job that removes these definitions' rows when no search uses them any more.
pub fn of(numbers: &[u32], after: Duration) -> NewJob {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    NewJob {
        id: Uuid::now_v7().to_string(),
        kind: KIND,
        input: numbers.join(","),
        after,
        merges: false,
    }
}

/// Removes them.
pub async fn run(server: &Arc<Server>, job: &Job) -> Result<(), Stop> {
    let numbers: Vec<u32> = job.input.split(',').filter_map(|number| number.parse().ok()).collect();
    let total = numbers.len() as u64;
    for (done, number) in (0..).zip(numbers) {
        while !server.store.sweep(number).await? {
            advance(server, job, String::new(), done, total).await?;
        }
    }
    Ok(())
}
