//! From `main` to the runtime and back to an exit code.

use std::{error::Error, fmt::Write as _, future::Future, process::ExitCode};

/// Runs `program` on a runtime with `threads` workers (at least one) and turns an error into exit code 1 and one line
/// on standard error with all its causes.
pub fn run<E: Into<Box<dyn Error>>>(threads: usize, program: impl Future<Output = Result<(), E>>) -> ExitCode {
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    // A small stack and few blocking threads keep the idle footprint of hundreds of instances a node low.
    let runtime = match builder
        .enable_all()
        .thread_stack_size(1 << 20)
        .max_blocking_threads(64)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let result = runtime.block_on(program);
    // Blocking reads that nobody awaits any more must not hold the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error.into()),
    }
}

/// The processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// An error with all its causes in one line.
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = source.source();
    }
    text
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("error: {}", describe(error));
    ExitCode::FAILURE
}
