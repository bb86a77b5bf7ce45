//! Devices, the connector and the FHIR server together on this machine: how long a reading takes from the device into its
//! Observation, what both programs use, and whether everything that was sent is there in the end.

mod away;
mod ingest;
mod kills;
mod shared;

use std::path::Path;
use std::time::{Duration, Instant};

use account::{Broker, Devices, Found, Load, Pair, Sent, Shared, Terms, observations};
use anyhow::{Context, Result, ensure};

use crate::process::{cpu_of_family, highest_rss, rss};
use crate::report::{Report, Wanted};
use kills::Victims;

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
    /// Of the last part: one message of so many is poison
    #[arg(long, default_value_t = 10)]
    poison: u32,
    /// Devices that begin an hourly Observation at the same time
    #[arg(long, default_value_t = 100_000)]
    groups: u32,
    /// Only these parts
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "together,ingest,groups,poison,away,kills,shared,shared-kills,kafka,kafka-kills"
    )]
    only: Vec<Part>,
}

/// What is measured, each with programs of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// A steady load
    Together,
    /// How fast messages are put on disk
    Ingest,
    /// Memory while very many Observations are begun
    Groups,
    /// What poison costs the others
    Poison,
    /// What piles up while the FHIR server is away for all of the time
    Away,
    /// Whether the account is whole when programs are killed
    Kills,
    /// A steady load through a NATS server to connectors that share it
    Shared,
    /// The same, and programs are killed, the NATS server too
    SharedKills,
    /// A steady load through a Kafka broker to connectors that share its topic
    Kafka,
    /// The same, and programs are killed, both brokers too
    KafkaKills,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: 2_000,
            seconds: 60,
            devices: 2_000,
            poison: 10,
            groups: 100_000,
            only: vec![
                Part::Together,
                Part::Ingest,
                Part::Groups,
                Part::Poison,
                Part::Away,
                Part::Kills,
                Part::Shared,
                Part::SharedKills,
                Part::Kafka,
                Part::KafkaKills,
            ],
        }
    }
}

impl Options {
    /// Heart rates, and so much poison among them.
    fn load(&self, poison: u32) -> Load {
        Load {
            devices: self.devices,
            rate: self.rate,
            steps: 0,
            poison,
        }
    }
}

/// Measures and reports; fails where the account doesn't balance.
pub async fn run(programs: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let mut plain = None;
    for part in &options.only {
        let folder = std::env::temp_dir().join(format!("bench-connector-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let result = match part {
            Part::Together => together(programs, &folder, options, report)
                .await
                .map(|cost| plain = Some(cost)),
            Part::Ingest => ingest::measure(programs, &folder, report).await,
            Part::Groups => groups(programs, &folder, options, report).await,
            Part::Poison => poison(programs, &folder, options, plain, report).await,
            Part::Away => away::measure(programs, &folder, options, report).await,
            Part::Kills => {
                let pair = Pair::start(programs, &folder).await?;
                kills::measure(Victims::Pair(Box::new(pair)), options, report).await
            }
            Part::Shared => shared::steady(programs, &folder, Broker::Nats, options, report).await,
            Part::SharedKills => shared_kills(programs, &folder, Broker::Nats, options, report).await,
            Part::Kafka => shared::steady(programs, &folder, Broker::Kafka, options, report).await,
            Part::KafkaKills => shared_kills(programs, &folder, Broker::Kafka, options, report).await,
        };
        let _ = std::fs::remove_dir_all(&folder);
        result?;
    }
    Ok(())
}

async fn shared_kills(
    programs: &Path,
    folder: &Path,
    broker: Broker,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let shared = Shared::start(programs, folder, shared::CONNECTORS, broker).await?;
    kills::measure(Victims::Shared(Box::new(shared)), options, report).await
}

/// A load that was sent and is done with, every message of it in the account.
struct Done {
    pair: Pair,
    sent: Sent,
    found: Found,
    /// CPU seconds of connector and FHIR server.
    used: (f64, f64),
    sending: Duration,
    settling: Duration,
    dead: u64,
}

impl Done {
    async fn with(pair: Pair, load: Load, seconds: u64) -> Result<Self> {
        let connector = pair.connector.pid().context("the connector isn't running")?;
        let fhir = pair.fhir.pid().context("the FHIR server isn't running")?;
        let mut devices = Devices::new(load);
        let before = (cpu_of_family(connector)?, cpu_of_family(fhir)?);
        let begun = Instant::now();
        devices.send(&pair.messages_url, Duration::from_secs(seconds)).await;
        let sending = begun.elapsed();
        let terms = Terms::settled(&pair.management_url, devices.sent.messages()).await?;
        let settling = begun.elapsed().saturating_sub(sending);
        let used = (cpu_of_family(connector)? - before.0, cpu_of_family(fhir)? - before.1);
        let found = observations(&pair.fhir_url).await?;
        let sent = devices.sent;
        ensure!(terms.balances(), "the account doesn't balance: {terms:?}");
        ensure!(
            (terms.messages, found.heart_rates, found.steps) == (sent.messages(), sent.heart_rates, sent.steps),
            "sent {sent:?}, accepted {terms:?}, found {} heart rates and {} steps",
            found.heart_rates,
            found.steps
        );
        Ok(Self {
            pair,
            sent,
            found,
            used,
            sending,
            settling,
            dead: terms.dead + terms.dead_readings,
        })
    }

    /// CPU seconds of both programs for each message that became a reading.
    fn cost(&self) -> f64 {
        (self.used.0 + self.used.1) / (self.sent.heart_rates + self.sent.steps) as f64
    }
}

async fn together(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<f64> {
    let pair = Pair::start(programs, folder).await?;
    let connector = pair.connector.pid().context("the connector isn't running")?;
    report.add(
        "idle RSS of the connector",
        rss(connector)?,
        "MiB",
        Wanted::AtMost(12.0),
        "after its start",
    );
    let load = options.load(0);
    let done = Done::with(pair, load, options.seconds).await?;
    let messages = done.sent.messages() as f64;
    let how = format!(
        "{} messages of {} devices in {:.0} s, all done {:.1} s later; {} Observations read back, {} dead letters",
        done.sent.messages(),
        options.devices,
        done.sending.as_secs_f64(),
        done.settling.as_secs_f64(),
        done.found.heart_rates,
        done.dead,
    );
    let rate = messages / done.sending.as_secs_f64();
    report.add("messages", rate, "per s", Wanted::Nothing, &how);
    for (percent, wanted) in [(50, Wanted::Nothing), (99, Wanted::AtMost(5.0))] {
        let latency = done.found.percentile(percent).context("no Observation")?;
        let name = format!("device to FHIR, p{percent}");
        let how = "from the device's clock to `meta.lastUpdated`";
        report.add(&name, latency.as_secs_f64(), "s", wanted, how);
    }
    for (name, used) in [("connector", done.used.0), ("FHIR server", done.used.1)] {
        let name = format!("CPU of the {name}");
        report.add(&name, used * 1e6 / messages, "µs a message", Wanted::Nothing, "");
    }
    for (name, program) in [("connector", &done.pair.connector), ("FHIR server", &done.pair.fhir)] {
        let name = format!("RSS of the {name}");
        let pid = program.pid().context("it isn't running")?;
        report.add(&name, rss(pid)?, "MiB", Wanted::Nothing, "after the load");
    }
    Ok(done.cost())
}

async fn groups(programs: &Path, folder: &Path, options: &Options, report: &mut Report) -> Result<()> {
    /// Messages a second: more than can be written, so that groups wait for each other.
    const RATE: u32 = 10_000;
    let pair = Pair::start(programs, folder).await?;
    let load = Load {
        devices: options.groups,
        rate: RATE,
        steps: 1,
        poison: 0,
    };
    let done = Done::with(pair, load, u64::from(options.groups.div_ceil(RATE))).await?;
    let connector = done.pair.connector.pid().context("the connector isn't running")?;
    let how = format!(
        "the most that it had while {} devices began an hourly Observation each, with a Device and a Patient; all done {:.0} s after the last message",
        done.sent.steps,
        done.settling.as_secs_f64()
    );
    report.add(
        "RSS of the connector with many hourly groups",
        highest_rss(connector)?,
        "MiB",
        Wanted::AtMost(500.0),
        &how,
    );
    Ok(())
}

async fn poison(
    programs: &Path,
    folder: &Path,
    options: &Options,
    plain: Option<f64>,
    report: &mut Report,
) -> Result<()> {
    let pair = Pair::start(programs, folder).await?;
    let load = options.load(options.poison);
    let done = Done::with(pair, load, options.seconds).await?;
    let latency = done.found.percentile(99).context("no Observation")?;
    let how = format!(
        "{} of {} messages are poison; measured as CPU, since throughput is what CPU allows: a tenth more for each of the others is a tenth less of them; device to FHIR, p99: {:.1} s",
        done.sent.poison + done.sent.unmatched,
        done.sent.messages(),
        latency.as_secs_f64()
    );
    match plain {
        Some(plain) => report.add(
            "CPU of both for each other message, with poison",
            done.cost() / plain,
            "times that without",
            Wanted::AtMost(1.1),
            &how,
        ),
        None => report.add(
            "CPU of both for each other message, with poison",
            done.cost() * 1e6,
            "µs",
            Wanted::Nothing,
            &how,
        ),
    }
    Ok(())
}
