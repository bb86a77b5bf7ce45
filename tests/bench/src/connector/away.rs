//! The FHIR server is away for long while devices go on to send, and the connector is killed meanwhile: whether all that
//! piled up is there in the end, and how fast.

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Devices, Pair, Terms, is_whole, observations};
use anyhow::{Context, Result, ensure};

use super::Options;
use crate::process::highest_rss;
use crate::report::{Report, Wanted};

/// For how long everything is there before.
const BEFORE: Duration = Duration::from_secs(5);

pub(super) async fn measure(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let mut pair = Pair::start(programs, folder).await?;
    let mut devices = Devices::new(options.load(options.poison));
    devices.send(&pair.messages_url, BEFORE).await;
    pair.fhir.kill()?;
    let (url, away) = (pair.messages_url.clone(), Duration::from_secs(options.seconds));
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        devices.send(&url, away).await;
        devices
    });
    tokio::time::sleep(away / 2).await;
    pair.connector.kill()?;
    pair.connector.start_again().await?;
    let devices = sending.await.context("the devices stopped")?;
    let (away, sent) = (begun.elapsed(), devices.sent);
    let waiting = Terms::of(&pair.management_url).await?.backlog;
    ensure!(waiting > 0, "nothing waits for a FHIR server that isn't there");
    let begun = Instant::now();
    pair.fhir.start_again().await?;
    let terms = Terms::settled(&pair.management_url, sent.messages()).await?;
    let took = begun.elapsed();
    let found = observations(&pair.fhir_url).await?;
    is_whole(sent, &terms, &found)?;
    let how = format!(
        "{:.0} s away, the connector killed in between (SIGKILL); {} messages, {} of them poison, {waiting} waited, all done {:.0} s after the server's start; {} Observations read back, each reading in one place",
        away.as_secs_f64(),
        sent.messages(),
        sent.poison + sent.unmatched,
        took.as_secs_f64(),
        found.heart_rates,
    );
    report.add(
        "catching up when the FHIR server was away",
        waiting as f64 / took.as_secs_f64(),
        "messages per s",
        Wanted::Nothing,
        &how,
    );
    for (name, program) in [("connector", &pair.connector), ("FHIR server", &pair.fhir)] {
        let name = format!("RSS of the {name} while it catches up");
        let pid = program.pid().context("it isn't running")?;
        report.add(
            &name,
            highest_rss(pid)?,
            "MiB",
            Wanted::Nothing,
            "the most that it had since it was killed",
        );
    }
    Ok(())
}
