//! Connectors that share a stream of a NATS server, or a topic of Kafka, with devices that publish into it.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Broker, Devices, Program, Shared, Terms, is_whole, observations};
use anyhow::{Context, Result};

use super::Options;
use crate::process::{cpu_of_family, highest_rss};
use crate::report::{Report, Wanted};

/// Connectors.
pub(super) const CONNECTORS: usize = 2;

/// What the work is called in a report.
pub(super) fn name(broker: Broker) -> &'static str {
    match broker {
        Broker::Nats => "shared work",
        Broker::Kafka => "shared topic",
    }
}

fn cpu<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Result<f64> {
    let pids = programs
        .into_iter()
        .map(|program| program.pid().context("it isn't running"));
    pids.map(|pid| cpu_of_family(pid?)).sum()
}

/// CPU seconds of each kind of program.
fn used(shared: &Shared) -> Result<Vec<(&'static str, f64)>> {
    let mut used = vec![
        ("connectors together", cpu(&shared.connectors)?),
        ("NATS server", cpu([&shared.nats])?),
    ];
    if let Some(kafka) = &shared.kafka {
        used.push(("Kafka broker", cpu([kafka])?));
    }
    used.push(("FHIR server", cpu([&shared.fhir])?));
    Ok(used)
}

/// A steady load: latency, and what it costs.
pub(super) async fn steady(
    programs: &Path,
    folder: &Path,
    broker: Broker,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let shared = Shared::start(programs, folder, CONNECTORS, broker).await?;
    let name = name(broker);
    let before = used(&shared)?;
    let mut devices = Devices::new(options.load(0));
    let begun = Instant::now();
    devices
        .publish(broker, &shared.address, Duration::from_secs(options.seconds))
        .await;
    let sending = begun.elapsed();
    let terms = Terms::settled(&shared.management_urls[0], devices.sent.messages()).await?;
    let settling = begun.elapsed().saturating_sub(sending);
    let after = used(&shared)?;
    let found = observations(&shared.fhir_url).await?;
    is_whole(devices.sent, &terms, &found)?;
    let messages = devices.sent.messages() as f64;
    let how = format!(
        "{} messages in {:.0} s through {broker:?} to {CONNECTORS} connectors, all done {:.1} s later; {} Observations read back",
        devices.sent.messages(),
        sending.as_secs_f64(),
        settling.as_secs_f64(),
        found.heart_rates,
    );
    for (percent, wanted) in [(50, Wanted::Nothing), (99, Wanted::AtMost(5.0))] {
        let latency = found.percentile(percent).context("no Observation")?;
        let name = format!("{name}: device to FHIR, p{percent}");
        report.add(&name, latency.as_secs_f64(), "s", wanted, &how);
    }
    for ((who, before), (_, after)) in before.into_iter().zip(after) {
        let name = format!("{name}: CPU of the {who}");
        let each = (after - before) * 1e6 / messages;
        report.add(&name, each, "µs a message", Wanted::Nothing, "");
    }
    for connector in &shared.connectors {
        let pid = connector.pid().context("it isn't running")?;
        let name = format!("{name}: RSS of a connector");
        report.add(&name, highest_rss(pid)?, "MiB", Wanted::Nothing, "the most that it had");
    }
    Ok(())
}
