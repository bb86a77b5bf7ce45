//! Connectors that share a stream of a NATS server, with devices that publish into it.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Devices, Load, Program, Shared, Terms, is_whole, observations};
use anyhow::{Context, Result};
use test_length::Dice;

use crate::process::{cpu_of_family, highest_rss};
use crate::report::{Report, Wanted};

/// Connectors.
const CONNECTORS: usize = 2;
/// Seconds to the next kill, and up to so many more: what is killed is away for a part of them.
const PAUSE: (u64, usize) = (5, 10);

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

/// Kills at random: nothing is lost, and nothing is twice.
pub(super) async fn kills(programs: &Path, folder: &Path, load: Load, seconds: u64, report: &mut Report) -> Result<()> {
    let mut shared = Shared::start(programs, folder, CONNECTORS).await?;
    let mut devices = Devices::new(load);
    let mut dice = Dice::new(test_length::crash_seed());
    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let pause = Duration::from_secs(PAUSE.0 + dice.below(PAUSE.1) as u64);
        devices = shared.crash(devices, pause, &mut dice).await?;
        kills += 1;
    }
    let sending = begun.elapsed();
    let terms = Terms::settled(&shared.management_urls[0]).await?;
    let settling = begun.elapsed().saturating_sub(sending);
    let found = observations(&shared.fhir_url).await?;
    let sent = devices.sent;
    is_whole(sent, &terms, &found)?;
    let how = format!(
        "of a connector of {CONNECTORS}, the NATS server, the FHIR server or all (SIGKILL); {} messages in {:.0} s, {} of them poison, all done {:.1} s later; {} Observations read back, each reading in one place",
        sent.messages(),
        sending.as_secs_f64(),
        sent.poison + sent.unmatched,
        settling.as_secs_f64(),
        found.heart_rates,
    );
    report.add(
        "shared work: kills with the account whole",
        f64::from(kills),
        "",
        Wanted::Nothing,
        &how,
    );
    Ok(())
}
