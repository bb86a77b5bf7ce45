//! How fast messages are taken in and put on disk, while the FHIR server is away and they only pile up.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Pair, Terms};
use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::process::cpu_of_family;
use crate::report::{Report, Wanted};

/// Messages of a request, one a line.
const LINES: usize = 500;
/// Senders, each with a request on its way.
const SENDERS: usize = 4;
/// For how long they send.
const DURATION: Duration = Duration::from_secs(10);

pub(super) async fn measure(programs: &Path, folder: &Path, report: &mut Report) -> Result<()> {
    let mut pair = Pair::start(programs, folder).await?;
    pair.fhir.kill()?;
    let connector = pair.connector.pid().context("the connector isn't running")?;
    let before = cpu_of_family(connector)?;
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(send(pair.messages_url.clone(), body(sender)));
    }
    let mut sent = 0;
    while let Some(messages) = senders.join_next().await {
        sent += messages??;
    }
    let took = begun.elapsed().as_secs_f64();
    let used = cpu_of_family(connector)? - before;
    let terms = Terms::of(&pair.management_url).await?;
    ensure!(
        terms.messages == sent && terms.backlog == sent,
        "{sent} acknowledged, {terms:?}"
    );
    let how = format!(
        "{sent} messages in {took:.1} s, {LINES} a request, {SENDERS} requests at a time, the senders on the same processors; {:.1} µs of the connector each",
        used * 1e6 / sent as f64
    );
    report.add(
        "durable ingest by HTTP",
        sent as f64 / took,
        "per s",
        Wanted::AtLeast(50_000.0),
        &how,
    );
    Ok(())
}

fn body(sender: usize) -> String {
    let line = |number: usize| {
        format!(
            "{{\"device\": \"device-{sender}-{number}\", \"patient\": \"patient-{number}\", \"time\": \"2026-01-01T08:00:00Z\", \"heartrate\": {}}}\n",
            50 + number % 100
        )
    };
    (0..LINES).map(line).collect()
}

async fn send(url: String, body: String) -> Result<u64> {
    let client = reqwest::Client::new();
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < DURATION {
        let answer = client.post(&url).body(body.clone()).send().await?;
        ensure!(answer.status() == 202, "{}: {}", answer.status(), answer.text().await?);
        sent += LINES as u64;
    }
    Ok(sent)
}
