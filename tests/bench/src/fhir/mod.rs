//! A FHIR server under the load of the table "Numbers to reach": CPU per operation of server and database in a closed
//! loop of 16 connections, over whole patients.

mod data;
mod database;
mod fill;
pub mod growth;
mod operations;
mod target;
mod work;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::load::{closed_loop, once};
use crate::report::{Report, Wanted};
use data::{Data, Known, Version};
use database::Database;
use fill::Filled;
use operations::Operation;
use target::{Cpu, Target};

const CONNECTIONS: usize = 16;
/// Of these `$validate` is asked.
const VALIDATED: usize = 20;

/// What is measured, and how much is loaded.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Resources to load as transactions of whole patients before the rest is measured
    #[arg(long, default_value_t = 20_000)]
    pub resources: usize,
    /// `sqlite` for a file of its own, `postgres` to start one, or the URL of an empty database: `postgres://…`
    #[arg(long, default_value = "sqlite")]
    pub database: String,
    /// Process id of the PostgreSQL server behind that URL, to count what it and its children use
    #[arg(long)]
    pub database_pid: Option<u32>,
    /// Base URL of another FHIR server to put the same load on
    #[arg(long)]
    pub against: Option<String>,
    /// Process ids of that server and of its database, to count what they and their children use; without them wall time
    /// is all that is known
    #[arg(long = "pid", value_delimiter = ',')]
    pub pids: Vec<u32>,
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
            pids: Vec::new(),
            fhir_version: Version::R4,
            only: None,
            times: 1,
        }
    }
}

/// Measures and reports.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<()> {
    in_folder(async |folder| {
        let syncs = syncs_a_second(folder)?;
        report.note(&format!("The disk syncs {syncs:.0} times a second (4 KiB each)."));
        match &options.against {
            Some(url) => {
                let target = Target::against(url, &options.pids)?;
                load_and_measure(&target, options, report).await?;
            }
            None => our_own(programs, folder, options, report).await?,
        }
        Ok(())
    })
    .await
}

/// Does something with a folder that goes with it.
async fn in_folder<T>(work: impl AsyncFnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = std::env::temp_dir().join(format!("fhir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = work(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    outcome
}

async fn our_own(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let version = options.fhir_version;
    let database = Database::of(&options.database, options.database_pid, folder);
    let target = Target::start(programs, &database, version, true).await?;
    started(&target, &database, report);
    let (mut data, known, made) = load_and_measure(&target, options, report).await?;
    target.stop().await?;
    let bytes = database.size()? as f64;
    let limit = if database.is_sqlite() { 1_000.0 } else { 1_800.0 };
    let how = format!("{:.1} MiB, {made} resources", bytes / f64::from(1 << 20));
    let what = "bytes a resource, all indexes";
    report.add(what, bytes / made as f64, "B", Wanted::AtMost(limit), &how);
    let only = options.only.as_deref();
    let counted = work::count(programs, &database, version, &mut data, (&known, &known), only).await?;
    report.table(work::table(&counted, &database));
    Ok(())
}

/// What a server needs that has nothing to do.
fn started(target: &Target<'_>, database: &Database, report: &mut Report) {
    let Some(server) = &target.server else { return };
    let (start_up, rss) = if database.is_sqlite() {
        (100.0, 15.0)
    } else {
        (300.0, 20.0)
    };
    let millis = server.start_up.as_secs_f64() * 1e3;
    let how = "to the first 200 of /health/ready";
    report.add("start-up", millis, "ms", Wanted::AtMost(start_up), how);
    let idle = target.rss().unwrap_or(f64::NAN);
    let how = "after start on an empty database";
    report.add("idle RSS", idle, "MiB", Wanted::AtMost(rss), how);
}

/// Everything that any server can be asked; what was loaded, who is known, and how many resources there are then.
async fn load_and_measure(
    target: &Target<'_>,
    options: &Options,
    report: &mut Report,
) -> Result<(Data, Vec<Known>, usize)> {
    let mut data = Data::read(options.fhir_version)?;
    fill::first(target, &data).await?;
    let mut known = Vec::new();
    let before = data.loaded;
    let filled = fill::fill(target, &mut data, &mut known, before + options.resources).await?;
    loaded(target, &filled, report);
    let mut made = data.loaded;
    for operation in operations::all(&known, &known, &target.place) {
        let only = options.only.as_deref();
        if operation.is_needed || only.is_none_or(|only| operation.name.contains(only)) {
            made += operation.creates * options.times;
            one(target, &operation, options.times, report).await?;
        }
    }
    if let Some(first) = known.first() {
        // a server that doesn't know it has nothing to open
        let request = target
            .place
            .with_body("POST", "Patient/$validate", &first.patient, None);
        for _ in 0..VALIDATED {
            once(&target.place, request.clone(), &[]).await?;
        }
    }
    if let Some(rss) = target.rss() {
        let wanted = if target.is_own() {
            Wanted::AtMost(64.0)
        } else {
            Wanted::Nothing
        };
        let how = format!("{made} resources");
        report.add("RSS after the load and $validate", rss, "MiB", wanted, &how);
    }
    Ok((data, known, made))
}

fn loaded(target: &Target<'_>, filled: &Filled, report: &mut Report) {
    let Filled { resources, took, cpu } = filled;
    let how = format!("{resources} resources in {:.1} s", took.as_secs_f64());
    rate(
        target,
        (operations::TRANSACTION, operations::TRANSACTION_WANTED),
        (*resources, took.as_secs_f64(), *cpu),
        &how,
        report,
    );
}

/// An operation's load.
async fn one(target: &Target<'_>, operation: &Operation, times: usize, report: &mut Report) -> Result<()> {
    let count = operation.count * times;
    let (before, begun) = (target.cpu()?, Instant::now());
    let request = std::sync::Arc::clone(&operation.request);
    let address = &target.place.address;
    let done = closed_loop(
        address,
        CONNECTIONS,
        0..count,
        operation.statuses,
        move |n| request(n),
        |_, _| {},
    )
    .await;
    let latencies = match done {
        Ok(latencies) => latencies,
        // another server may not have everything
        Err(error) if !target.is_own() => {
            let how = format!("refused: {}", error.to_string().lines().next().unwrap_or_default());
            report.add(operation.name, f64::NAN, "", Wanted::Nothing, &how);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = before.zip(target.cpu()?).map(|(before, after)| after.since(before));
    let how = format!(
        "p50 {:.1} ms, p99 {:.1} ms; {count} operations",
        latencies.percentile(50).as_secs_f64() * 1e3,
        latencies.percentile(99).as_secs_f64() * 1e3,
    );
    rate(
        target,
        (operation.name, operation.wanted),
        (count, seconds, cpu),
        &how,
        report,
    );
    Ok(())
}

/// A row of what was done so many times: for each second of CPU, or of time where no process is known.
fn rate(
    target: &Target<'_>,
    (name, wanted): (&str, (f64, f64)),
    (count, seconds, cpu): (usize, f64, Option<Cpu>),
    how: &str,
    report: &mut Report,
) {
    let count = count as f64;
    let Some(cpu) = cpu else {
        report.add(name, count / seconds, "per s", Wanted::Nothing, how);
        return;
    };
    let wanted = target.wanted(wanted).map_or(Wanted::Nothing, Wanted::AtLeast);
    let micros = 1e6 / count;
    let (server, database) = (cpu.server * micros, cpu.database * micros);
    let how = if cpu.database > 0.0 {
        format!("{server:.0} µs server + {database:.0} µs database each; {how}")
    } else {
        format!("{server:.0} µs each; {how}")
    };
    report.add(name, count / cpu.sum(), "per core-s", wanted, &how);
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
