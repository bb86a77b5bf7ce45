//! Devices, the connector and the FHIR server together on this machine: how long a reading takes from the device into its
//! Observation, what both programs use, and whether everything that was sent is there in the end.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Devices, Load, Pair, Terms, observations};
use anyhow::{Context, Result, ensure};

use crate::process::{cpu_of_family, rss};
use crate::report::{Report, Wanted};

/// How much is sent.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Messages a second
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Devices, each with a patient of its own
    #[arg(long, default_value_t = 2_000)]
    devices: u32,
    /// One message of so many is poison; 0: none
    #[arg(long, default_value_t = 0)]
    poison: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: 2_000,
            seconds: 60,
            devices: 2_000,
            poison: 0,
        }
    }
}

/// Measures and reports; fails where the account doesn't balance.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("bench-connector-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(programs, &folder, options, report).await;
    let _ = std::fs::remove_dir_all(&folder);
    result
}

async fn measure(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let pair = Pair::start(programs, folder).await?;
    let connector = pair.connector.pid().context("the connector isn't running")?;
    let fhir = pair.fhir.pid().context("the FHIR server isn't running")?;
    report.add(
        "idle RSS of the connector",
        rss(connector)?,
        "MiB",
        Wanted::AtMost(12.0),
        "after its start",
    );
    let mut devices = Devices::new(Load {
        devices: options.devices,
        rate: options.rate,
        steps: 0,
        poison: options.poison,
    });
    let before = (cpu_of_family(connector)?, cpu_of_family(fhir)?);
    let begun = Instant::now();
    devices
        .send(&pair.messages_url, Duration::from_secs(options.seconds))
        .await;
    let sending = begun.elapsed();
    let terms = Terms::settled(&pair.management_url).await?;
    let settling = begun.elapsed().saturating_sub(sending);
    let used = (cpu_of_family(connector)? - before.0, cpu_of_family(fhir)? - before.1);
    let found = observations(&pair.fhir_url).await?;
    let sent = devices.sent;
    ensure!(terms.balances(), "the account doesn't balance: {terms:?}");
    ensure!(
        (terms.messages, found.heart_rates) == (sent.messages(), sent.heart_rates),
        "sent {sent:?}, accepted {terms:?}, found {} Observations",
        found.heart_rates
    );
    let messages = sent.messages() as f64;
    let how = format!(
        "{} messages of {} devices in {:.0} s, all done {:.1} s later; {} Observations read back, {} dead letters",
        sent.messages(),
        options.devices,
        sending.as_secs_f64(),
        settling.as_secs_f64(),
        found.heart_rates,
        terms.dead + terms.dead_readings,
    );
    report.add(
        "messages",
        messages / sending.as_secs_f64(),
        "per s",
        Wanted::Nothing,
        &how,
    );
    for (percent, wanted) in [(50, Wanted::Nothing), (99, Wanted::AtMost(5.0))] {
        let latency = found.percentile(percent).context("no Observation")?;
        let name = format!("device to FHIR, p{percent}");
        report.add(
            &name,
            latency.as_secs_f64(),
            "s",
            wanted,
            "from the device's clock to `meta.lastUpdated`",
        );
    }
    for (name, used) in [("connector", used.0), ("FHIR server", used.1)] {
        let name = format!("CPU of the {name}");
        report.add(&name, used * 1e6 / messages, "µs a message", Wanted::Nothing, "");
    }
    for (name, pid) in [("connector", connector), ("FHIR server", fhir)] {
        report.add(
            &format!("RSS of the {name}"),
            rss(pid)?,
            "MiB",
            Wanted::Nothing,
            "after the load",
        );
    }
    Ok(())
}
