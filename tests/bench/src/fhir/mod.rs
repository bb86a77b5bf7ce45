//! A FHIR server under the load of the table "Numbers to reach": CPU per operation of server and database in a closed
//! loop of 16 connections, over whole patients.

mod data;
mod operations;
mod target;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::closed_loop;
use crate::report::{Report, Wanted};
use data::{Data, Known, Version};
use operations::Operation;
use target::Target;

const CONNECTIONS: usize = 16;

/// What is measured, and how much is loaded.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Resources to load as transactions of whole patients before the rest is measured
    #[arg(long, default_value_t = 20_000)]
    pub resources: usize,
    /// `sqlite` for a file of its own, or the URL of an empty database: `postgres://…`
    #[arg(long, default_value = "sqlite")]
    pub database: String,
    /// Process id of the PostgreSQL server, to count what it and its children use
    #[arg(long)]
    pub database_pid: Option<u32>,
    /// Base URL of another FHIR server to put the same load on
    #[arg(long)]
    pub against: Option<String>,
    /// Process id of that server, to count what it uses
    #[arg(long)]
    pub pid: Option<u32>,
    /// FHIR version: R4 or STU3
    #[arg(long, default_value = "R4")]
    pub fhir_version: Version,
    /// Only operations whose name contains this
    #[arg(long)]
    pub only: Option<String>,
    /// Multiplies how often each operation is done
    #[arg(long, default_value_t = 1)]
    pub times: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            resources: 20_000,
            database: "sqlite".to_owned(),
            database_pid: None,
            against: None,
            pid: None,
            fhir_version: Version::R4,
            only: None,
            times: 1,
        }
    }
}

/// Measures and reports.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("fhir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(programs, &folder, options, report).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn measure(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let syncs = syncs_a_second(folder)?;
    report.note(&format!("The disk syncs {syncs:.0} times a second (4 KiB each)."));
    let target = Target::start(programs, folder, options).await?;
    if let Some(server) = &target.server {
        let wanted = if target.is_sqlite { (100.0, 15.0) } else { (300.0, 20.0) };
        let start_up = server.start_up.as_secs_f64() * 1e3;
        report.add(
            "start-up",
            start_up,
            "ms",
            Wanted::AtMost(wanted.0),
            "to the first 200 of /health/ready",
        );
        let idle = target.rss().unwrap_or_default();
        report.add(
            "idle RSS",
            idle,
            "MiB",
            Wanted::AtMost(wanted.1),
            "after start on an empty database",
        );
    }
    let mut data = Data::read(options.fhir_version)?;
    let known = load(&target, &mut data, options, report).await?;
    let mut made = data.loaded;
    for operation in operations::all(&known, &target.place) {
        let wanted = options
            .only
            .as_ref()
            .is_none_or(|only| operation.name.contains(only.as_str()));
        if wanted || operation.is_needed {
            made += operation.creates * options.times;
            one(&target, operation, options.times, report).await?;
        }
    }
    validate(&target, &known).await?;
    if let Some(rss) = target.rss() {
        report.add(
            "RSS after the load and $validate",
            rss,
            "MiB",
            Wanted::AtMost(64.0),
            &format!("{made} resources"),
        );
    }
    if let Some(bytes) = target.size(folder, options).await? {
        let limit = if options.database == "sqlite" { 1_000.0 } else { 1_800.0 };
        let how = format!("{:.1} MiB, {made} resources", bytes as f64 / f64::from(1 << 20));
        report.add(
            "bytes a resource, all indexes",
            bytes as f64 / made as f64,
            "B",
            Wanted::AtMost(limit),
            &how,
        );
    }
    Ok(())
}

/// Transactions of whole patients, and what is known of them then.
async fn load(target: &Target, data: &mut Data, options: &Options, report: &mut Report) -> Result<Vec<Known>> {
    for bundle in data.first() {
        let request = target.place.with_body("POST", "", &bundle, None);
        closed_loop(&target.place.address, 1, 1, &[200], move |_| request.clone(), |_, _| {}).await?;
    }
    let mut known = Vec::new();
    let (mut resources, mut took, mut used) = (0, Duration::ZERO, (0.0, 0.0));
    while resources < options.resources {
        let bundles = data.next(options.resources - resources);
        resources += bundles.iter().map(|bundle| bundle.resources).sum::<usize>();
        let requests: Vec<_> = bundles
            .iter()
            .map(|b| target.place.with_body("POST", "", &b.text, None))
            .collect();
        let ids = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&ids);
        let (before, begun) = (target.cpu()?, Instant::now());
        closed_loop(
            &target.place.address,
            4,
            requests.len(),
            &[200],
            move |n| requests[n].clone(),
            move |n, body| {
                if let (Some(id), Ok(mut seen)) = (data::patient_of(body), seen.lock()) {
                    seen.push((n, id));
                }
            },
        )
        .await?;
        took += begun.elapsed();
        let after = target.cpu()?;
        used = (used.0 + after.0 - before.0, used.1 + after.1 - before.1);
        let ids = ids.lock().map(|ids| ids.clone()).unwrap_or_default();
        known.extend(ids.into_iter().map(|(n, id)| bundles[n].known(id)));
    }
    let wanted = if target.is_sqlite { 10_000.0 } else { 6_000.0 };
    let rate = resources as f64 / (used.0 + used.1);
    let each = 1e6 / resources as f64;
    report.add(
        "transactions, resources",
        rate,
        "per core-s",
        Wanted::AtLeast(wanted),
        &format!(
            "{:.0} µs server + {:.0} µs database each, {resources} resources in {:.1} s",
            used.0 * each,
            used.1 * each,
            took.as_secs_f64()
        ),
    );
    Ok(known)
}

async fn one(target: &Target, operation: Operation, times: usize, report: &mut Report) -> Result<()> {
    let count = operation.count * times;
    let before = target.cpu()?;
    let Operation {
        name,
        statuses,
        request,
        ..
    } = operation;
    let latencies = closed_loop(&target.place.address, CONNECTIONS, count, statuses, request, |_, _| {}).await?;
    let after = target.cpu()?;
    let (server, database) = (after.0 - before.0, after.1 - before.1);
    let micros = 1e6 / count as f64;
    let wanted = if target.is_sqlite {
        operation.wanted.0
    } else {
        operation.wanted.1
    };
    report.add(
        name,
        count as f64 / (server + database),
        "per core-s",
        Wanted::AtLeast(wanted),
        &format!(
            "{:.0} µs server + {:.0} µs database each; p50 {:.1} ms, p99 {:.1} ms; {count} operations",
            server * micros,
            database * micros,
            latencies.percentile(50).as_secs_f64() * 1e3,
            latencies.percentile(99).as_secs_f64() * 1e3,
        ),
    );
    Ok(())
}

/// `$validate` a few times, which opens what validation needs.
async fn validate(target: &Target, known: &[Known]) -> Result<()> {
    let Some(first) = known.first() else { return Ok(()) };
    let request = target
        .place
        .with_body("POST", "Patient/$validate", &first.patient, None);
    // a server that doesn't know it has nothing to open
    closed_loop(
        &target.place.address,
        1,
        20,
        &[200, 404],
        move |_| request.clone(),
        |_, _| {},
    )
    .await?;
    Ok(())
}

/// How often the disk makes 4 KiB durable in a second, now.
fn syncs_a_second(folder: &Path) -> Result<f64> {
    use std::io::Write;
    const ROUNDS: u32 = 100;
    let mut file = std::fs::File::create(folder.join("sync"))?;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(ROUNDS) / begun.elapsed().as_secs_f64())
}
