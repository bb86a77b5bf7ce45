//! Connectors that share a stream of a NATS server, with devices that publish into it.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Devices, Load, Program, Shared, Terms, is_whole, observations};
use anyhow::{Context, Result};

use crate::process::{cpu_of_family, highest_rss};
use crate::report::{Report, Wanted};

/// Connectors.
pub(super) const CONNECTORS: usize = 2;

fn cpu(programs: &[Program]) -> Result<f64> {
    let pids = programs.iter().map(|program| program.pid().context("it isn't running"));
    pids.map(|pid| cpu_of_family(pid?)).sum()
}

/// A steady load: latency, and what it costs.
pub(super) async fn steady(
    programs: &Path,
    folder: &Path,
    load: Load,
    seconds: u64,
    report: &mut Report,
) -> Result<()> {
    let shared = Shared::start(programs, folder, CONNECTORS).await?;
    let used = || -> Result<[f64; 3]> {
        let own = |program| cpu(std::slice::from_ref(program));
        Ok([cpu(&shared.connectors)?, own(&shared.nats)?, own(&shared.fhir)?])
    };
    let before = used()?;
    let mut devices = Devices::new(load);
    let begun = Instant::now();
    devices.publish(&shared.address, Duration::from_secs(seconds)).await;
    let sending = begun.elapsed();
    let terms = Terms::settled(&shared.management_urls[0]).await?;
    let settling = begun.elapsed().saturating_sub(sending);
    let after = used()?;
    let found = observations(&shared.fhir_url).await?;
    is_whole(devices.sent, &terms, &found)?;
    let messages = devices.sent.messages() as f64;
    let how = format!(
        "{} messages in {:.0} s through NATS to {CONNECTORS} connectors, all done {:.1} s later; {} Observations read back",
        devices.sent.messages(),
        sending.as_secs_f64(),
        settling.as_secs_f64(),
        found.heart_rates,
    );
    for (percent, wanted) in [(50, Wanted::Nothing), (99, Wanted::AtMost(5.0))] {
        let latency = found.percentile(percent).context("no Observation")?;
        let name = format!("shared work: device to FHIR, p{percent}");
        report.add(&name, latency.as_secs_f64(), "s", wanted, &how);
    }
    for (number, name) in ["connectors together", "NATS server", "FHIR server"].iter().enumerate() {
        let used = (after[number] - before[number]) * 1e6 / messages;
        let name = format!("shared work: CPU of the {name}");
        report.add(&name, used, "µs a message", Wanted::Nothing, "");
    }
    for connector in &shared.connectors {
        let pid = connector.pid().context("it isn't running")?;
        let name = "shared work: RSS of a connector";
        report.add(name, highest_rss(pid)?, "MiB", Wanted::Nothing, "the most that it had");
    }
    Ok(())
}
