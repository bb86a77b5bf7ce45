//! What is on the FHIR server in the end: every Observation read back.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

/// What the Observations hold.
#[derive(Debug, Default)]
pub struct Found {
    /// Observations of one heart rate each.
    pub heart_rates: u64,
    /// Points in Observations of steps.
    pub steps: u64,
    /// From the device's own time to the Observation's first version, of heart rates that were never changed, in order.
    pub latencies: Vec<Duration>,
}

impl Found {
    /// The latency that so many of a hundred don't exceed.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).copied()
    }
}

/// Reads all Observations, page by page.
pub async fn observations(fhir_url: &str) -> Result<Found> {
    let client = reqwest::Client::new();
    let mut found = Found::default();
    let mut next = Some(format!("{fhir_url}/Observation?_count=100"));
    while let Some(url) = next.take() {
        let page: Value = client.get(&url).send().await?.error_for_status()?.json().await?;
        for entry in page["entry"].as_array().into_iter().flatten() {
            found
                .add(&entry["resource"])
                .with_context(|| format!("{}", entry["resource"]))?;
        }
        let links = page["link"].as_array();
        next = links
            .into_iter()
            .flatten()
            .find(|link| link["relation"] == "next")
            .and_then(|link| link["url"].as_str().map(str::to_owned));
    }
    found.latencies.sort();
    Ok(found)
}

impl Found {
    fn add(&mut self, observation: &Value) -> Result<()> {
        if let Some(data) = observation["valueSampledData"]["data"].as_str() {
            self.steps += data.split_ascii_whitespace().filter(|point| *point != "E").count() as u64;
            return Ok(());
        }
        observation["valueQuantity"]["value"]
            .as_f64()
            .context("neither steps nor a heart rate")?;
        self.heart_rates += 1;
        if observation["meta"]["versionId"] == "1" {
            let time = |value: &Value| -> Result<Timestamp> { Ok(value.as_str().context("no time")?.parse()?) };
            let begun = time(&observation["effectivePeriod"]["start"])?;
            let written = time(&observation["meta"]["lastUpdated"])?;
            self.latencies
                .push(Duration::try_from(written.duration_since(begun)).unwrap_or_default());
        }
        Ok(())
    }
}
