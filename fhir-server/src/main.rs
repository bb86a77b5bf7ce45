//! Serves the FHIR REST API of one FhirService, R4 or STU3.

use std::process::ExitCode;

/// Gives memory back when it is freed: glibc's allocator keeps most of what the largest bundles took, once for each of its
/// arenas (after four times 18,000 resources 150 MiB instead of 63). SQLite and zstd use it, too. `.cargo/config.toml` says
/// how soon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    fhir_server::cli::main()
}
