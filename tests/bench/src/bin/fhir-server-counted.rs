//! `fhir-server` with an allocator that counts and a SQLite that does: what a request costs in numbers that don't depend
//! on the machine. The server that ships is the same code without them.
//!
//! For each line on standard input one line of JSON goes to standard output: what was counted since the start.

use std::alloc::System;
use std::io::{Write, stdin, stdout};
use std::process::ExitCode;

use fhir_storage::Counts;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    Counts::begin();
    std::thread::spawn(|| {
        for _ in stdin().lines().map_while(Result::ok) {
            let (database, memory) = (Counts::now(), ALLOCATOR.stats());
            let line = json!({
                "statements": database.statements,
                "steps": database.steps,
                "rows": database.rows,
                "allocations": memory.allocations + memory.reallocations,
                "allocated": memory.bytes_allocated,
            });
            // who has gone doesn't read it
            let _ = writeln!(stdout(), "{line}");
        }
    });
    fhir_server::cli::main()
}
