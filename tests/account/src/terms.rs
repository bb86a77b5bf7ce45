//! The connector's own account, from its metrics.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often the connector is asked whether it is done.
const POLL: Duration = Duration::from_millis(100);
/// How long a broker may keep what it has.
const PATIENCE: Duration = Duration::from_mins(1);

/// Every message and reading by what became of it; see `iot_connector_account_total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Messages accepted.
    pub messages: u64,
    /// Messages that gave a measurement.
    pub matched: u64,
    /// Messages that no template is for.
    pub unmatched: u64,
    /// Messages that gave dead letters only.
    pub dead: u64,
    /// Messages that aren't finished.
    pub backlog: u64,
    /// Values of all measurements.
    pub readings: u64,
    /// Readings that are a value or point of an Observation.
    pub points: u64,
    /// Readings that gave way to a later one.
    pub superseded: u64,
    /// Readings that were there already.
    pub duplicates: u64,
    /// Readings in an aggregate.
    pub aggregated: u64,
    /// Readings that the FHIR mapping has no place for.
    pub omitted: u64,
    /// Readings that are dead letters.
    pub dead_readings: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
}

impl Terms {
    /// As the connector's metrics say at this moment.
    pub async fn of(management_url: &str) -> Result<Self> {
        let text = reqwest::get(format!("{management_url}/metrics")).await?.text().await?;
        let value = |line: &str| {
            let value = text.lines().find_map(|own| own.strip_prefix(line));
            value
                .and_then(|value| value.trim().parse().ok())
                .with_context(|| format!("no `{line}` among the metrics"))
        };
        let term = |name: &str| value(&format!("iot_connector_account_total{{term=\"{name}\"}}"));
        Ok(Self {
            messages: term("messages")?,
            matched: term("matched")?,
            unmatched: term("unmatched")?,
            dead: term("dead")?,
            backlog: value("iot_connector_backlog ")?,
            readings: term("readings")?,
            points: term("points")?,
            superseded: term("superseded")?,
            duplicates: term("duplicates")?,
            aggregated: term("aggregated")?,
            omitted: term("omitted")?,
            dead_readings: term("dead_readings")?,
            dead_letters: value("iot_connector_dead_letters ")?,
        })
    }

    /// When nothing is in work any more, and so many messages were accepted or don't come.
    pub async fn settled(management_url: &str, least: u64) -> Result<Self> {
        let mut idle = Instant::now();
        loop {
            let terms = Self::of(management_url).await?;
            if terms.backlog != 0 {
                idle = Instant::now();
            } else if terms.messages >= least || idle.elapsed() > PATIENCE {
                return Ok(terms);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether every message and every reading is in exactly one term.
    pub fn balances(&self) -> bool {
        self.messages == self.matched + self.unmatched + self.dead + self.backlog
            && self.readings
                == self.points + self.superseded + self.duplicates + self.aggregated + self.omitted + self.dead_readings
    }
}
