//! What is counted.

use std::time::Duration;

use daemon::metrics::Metrics as Registry;
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    interaction: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    interaction: &'static str,
}

/// Counters of the API.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Answer, Counter>,
    seconds: Family<Asked, Histogram, fn() -> Histogram>,
    reindexed: Counter,
    /// Audit lines that couldn't be written.
    pub audit_lines_lost: Counter,
}

impl Metrics {
    /// Counters that `registry` shows.
    pub fn new(registry: &Registry) -> Self {
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0001, 4.0, 9));
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            reindexed: Counter::default(),
            audit_lines_lost: Counter::default(),
        };
        registry.register(|registry| {
            registry.register(
                "requests",
                "Requests by interaction and status",
                metrics.requests.clone(),
            );
            registry.register(
                "audit_lines_lost",
                "Audit lines that couldn't be written",
                metrics.audit_lines_lost.clone(),
            );
            registry.register(
                "request_seconds",
                "Time until the answer, by interaction",
                metrics.seconds.clone(),
            );
            registry.register(
                "reindexed",
                "Resources whose index rows were made again for changed search parameters",
                metrics.reindexed.clone(),
            );
        });
        metrics
    }

    /// Counts resources that a reindex has gone through.
    pub fn reindexed(&self, resources: u64) {
        self.reindexed.inc_by(resources);
    }

    /// Counts an answer.
    pub fn answered(&self, interaction: &'static str, status: StatusCode, after: Duration) {
        self.requests
            .get_or_create(&Answer {
                interaction,
                status: status.as_u16(),
            })
            .inc();
        self.seconds
            .get_or_create(&Asked { interaction })
            .observe(after.as_secs_f64());
    }
}
