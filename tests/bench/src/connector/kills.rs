//! Programs are killed at random while devices send: whether the account is whole in the end.

use std::time::{Duration, Instant};

use account::{Broker, Devices, Pair, Shared, Terms, crash, is_whole, nothing_is_lost, observations};
use anyhow::Result;
use test_length::Dice;

use super::{Options, shared};
use crate::report::{Report, Wanted};

/// Seconds to the next kill, and up to so many more: what is killed is away for a part of them.
const PAUSE: (u64, usize) = (5, 10);

/// Who is killed.
pub(super) enum Victims {
    /// A connector, its FHIR server, or both.
    Pair(Box<Pair>),
    /// One of connectors that share a broker's messages, a broker, the FHIR server, or all.
    Shared(Box<Shared>),
}

impl Victims {
    async fn crash(&mut self, devices: Devices, pause: Duration, dice: &mut Dice) -> Result<Devices> {
        match self {
            Self::Pair(pair) => crash(pair, devices, pause, dice).await,
            Self::Shared(shared) => shared.crash(devices, pause, dice).await,
        }
    }

    /// Where the account and the Observations are.
    fn urls(&self) -> (&str, &str) {
        match self {
            Self::Pair(pair) => (&pair.management_url, &pair.fhir_url),
            Self::Shared(shared) => (&shared.management_urls[0], &shared.fhir_url),
        }
    }

    fn names(&self) -> (String, &'static str) {
        let Self::Shared(shared) = self else {
            return (
                "kills with the account whole".to_owned(),
                "connector, FHIR server or both",
            );
        };
        let who = match shared.broker {
            Broker::Nats => "one of two connectors, the NATS server, the FHIR server, or all",
            Broker::Kafka => "one of two connectors, the NATS server, the Kafka broker, the FHIR server, or all",
        };
        (format!("{}: kills without a loss", shared::name(shared.broker)), who)
    }
}

pub(super) async fn measure(mut victims: Victims, options: &Options, report: &mut Report) -> Result<()> {
    let mut devices = Devices::new(options.load(options.poison));
    let mut dice = Dice::new(test_length::crash_seed());
    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        let pause = Duration::from_secs(PAUSE.0 + dice.below(PAUSE.1) as u64);
        devices = victims.crash(devices, pause, &mut dice).await?;
        kills += 1;
    }
    let sending = begun.elapsed();
    let (management, fhir) = victims.urls();
    let terms = Terms::settled(management, devices.sent.messages()).await?;
    let settling = begun.elapsed().saturating_sub(sending);
    let found = observations(fhir).await?;
    let sent = devices.sent;
    match &victims {
        Victims::Pair(_) => is_whole(sent, &terms, &found)?,
        Victims::Shared(_) => nothing_is_lost(sent, &terms, &found)?,
    }
    let (name, who) = victims.names();
    let how = format!(
        "of {who} (SIGKILL); {} messages in {:.0} s, {} of them poison, all done {:.1} s later; {} Observations read back, each reading in one place",
        sent.messages(),
        sending.as_secs_f64(),
        sent.poison + sent.unmatched,
        settling.as_secs_f64(),
        found.heart_rates,
    );
    report.add(&name, f64::from(kills), "", Wanted::Nothing, &how);
    Ok(())
}
