//! The connector's metrics. Names follow those of Azure's IoT connector in snake case.

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::{
    spool::{Stage, Term},
    store::Store,
    unmatched::Unmatched,
};

/// Labels of an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabels {
    /// Where.
    pub stage: String,
    /// The error's name.
    pub reason: String,
}

/// Label of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabels {
    /// `http` or the source's kind.
    pub source: String,
}

/// Label of what a template gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TemplateLabels {
    /// Its `typeName`.
    pub template: String,
}

/// Label of what gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DroppedLabels {
    /// `Unmatched`, or the error's name.
    pub reason: &'static str,
}

/// Label of a saved resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SavedLabels {
    /// `ObservationCreated`, `ObservationUpdated` or `NoOperation`.
    pub operation: &'static str,
}

/// Counters and histograms; what the spool knows is read from it.
#[derive(Clone)]
pub struct ConnectorMetrics {
    /// Messages accepted.
    pub device_event: Counter,
    /// Messages that were taken in before.
    pub device_event_repeated: Family<SourceLabels, Counter>,
    /// Whether a source is connected, 0 or 1.
    pub source_connected: Family<SourceLabels, Gauge>,
    /// Messages that a source has and that aren't on disk here.
    pub source_lag: Family<SourceLabels, Gauge>,
    /// Requests refused.
    pub refused: Family<ErrorLabels, Counter>,
    /// Messages normalised.
    pub normalized_event: Counter,
    /// Measurements that came out, by template.
    pub measurement: Family<TemplateLabels, Counter>,
    /// Groups that were written.
    pub measurement_group: Counter,
    /// Messages without a measurement.
    pub dropped_event: Family<DroppedLabels, Counter>,
    /// What those look like.
    pub unmatched: Arc<Unmatched>,
    /// What failed, permanent or not.
    pub total_errors: Family<ErrorLabels, Counter>,
    /// Observations by what happened to them.
    pub fhir_resource_saved: Family<SavedLabels, Counter>,
    /// Writes that somebody else's write got in the way of.
    pub fhir_resource_contention: Counter,
    /// From acceptance to the end of normalisation.
    pub device_event_processing_latency_ms: Histogram,
    /// From acceptance to the written Observation.
    pub measurement_ingestion_latency_ms: Histogram,
    /// How old the newest reading of a group is when its Observation is written, by the device's clock, by template.
    pub measurement_freshness_ms: Family<TemplateLabels, Histogram, fn() -> Histogram>,
}

impl ConnectorMetrics {
    /// Makes and registers all.
    pub fn register(registry: &mut Registry) -> Self {
        let latency = || Histogram::new([5.0, 20.0, 100.0, 500.0, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 3e5, 9e5]);
        // seconds to a day: devices may have been out of reach
        let freshness: fn() -> Histogram = || Histogram::new([1e3, 2e3, 5e3, 1e4, 6e4, 3e5, 9e5, 3.6e6, 8.64e7]);
        let metrics = Self {
            device_event: Counter::default(),
            device_event_repeated: Family::default(),
            source_connected: Family::default(),
            source_lag: Family::default(),
            refused: Family::default(),
            normalized_event: Counter::default(),
            measurement: Family::default(),
            measurement_group: Counter::default(),
            dropped_event: Family::default(),
            unmatched: Arc::default(),
            total_errors: Family::default(),
            fhir_resource_saved: Family::default(),
            fhir_resource_contention: Counter::default(),
            device_event_processing_latency_ms: latency(),
            measurement_ingestion_latency_ms: latency(),
            measurement_freshness_ms: Family::new_with_constructor(freshness),
        };
        let all = metrics.clone();
        registry.register("device_event", "Messages accepted", all.device_event);
        registry.register(
            "device_event_repeated",
            "Messages that were taken in before and weren't stored again",
            all.device_event_repeated,
        );
        registry.register(
            "source_connected",
            "Whether the source beside HTTP is connected",
            all.source_connected,
        );
        registry.register(
            "source_lag",
            "Messages that the source beside HTTP has and that aren't on disk here, looked at every five seconds; MQTT brokers don't tell",
            all.source_lag,
        );
        registry.register(
            "device_event_refused",
            "Requests with messages that were refused",
            all.refused,
        );
        registry.register("normalized_event", "Messages normalised", all.normalized_event);
        registry.register(
            "measurement",
            "Measurements made of messages, by template",
            all.measurement,
        );
        registry.register(
            "measurement_group",
            "Groups of measurements worked on",
            all.measurement_group,
        );
        registry.register(
            "dropped_event",
            "Messages that gave no measurement, by reason",
            all.dropped_event,
        );
        registry.register("errors", "Errors by stage and reason (TotalErrors)", all.total_errors);
        registry.register(
            "fhir_resource_saved",
            "Observations by operation",
            all.fhir_resource_saved,
        );
        registry.register(
            "fhir_resource_contention",
            "Writes that another writer got in the way of",
            all.fhir_resource_contention,
        );
        registry.register(
            "device_event_processing_latency_ms",
            "From acceptance to normalised, milliseconds",
            all.device_event_processing_latency_ms,
        );
        registry.register(
            "measurement_ingestion_latency_ms",
            "From acceptance to the Observation, milliseconds",
            all.measurement_ingestion_latency_ms,
        );
        registry.register(
            "measurement_freshness_ms",
            "How old the newest reading of a group is when its Observation is written, by the device's clock, milliseconds",
            all.measurement_freshness_ms,
        );
        metrics
    }

    /// Registers what the store knows.
    pub fn register_store(registry: &mut Registry, store: Store) {
        registry.register_collector(Box::new(StoreFigures { store }));
    }

    /// Counts a measurement.
    pub fn measured(&self, template: &str) {
        let labels = TemplateLabels {
            template: template.to_owned(),
        };
        self.measurement.get_or_create(&labels).inc();
    }

    /// Counts a message that gave no measurement.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped_event.get_or_create(&DroppedLabels { reason }).inc();
    }

    /// Says how old the newest reading of a written group is.
    pub fn fresh(&self, template: &str, milliseconds: f64) {
        let labels = TemplateLabels {
            template: template.to_owned(),
        };
        self.measurement_freshness_ms
            .get_or_create(&labels)
            .observe(milliseconds);
    }

    /// Counts messages that came again.
    pub fn repeated(&self, source: &str, count: u64) {
        let labels = SourceLabels {
            source: source.to_owned(),
        };
        self.device_event_repeated.get_or_create(&labels).inc_by(count);
    }

    /// Whether a source is connected.
    pub fn source_connected(&self, source: &str, connected: bool) {
        let labels = SourceLabels {
            source: source.to_owned(),
        };
        self.source_connected.get_or_create(&labels).set(i64::from(connected));
    }

    /// What a source has that isn't on disk here.
    pub fn source_lag(&self, source: &str, messages: u64) {
        let labels = SourceLabels {
            source: source.to_owned(),
        };
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.source_lag.get_or_create(&labels).set(messages);
    }

    /// Counts a broken or refused connection.
    pub fn source_error(&self, source: &str) {
        let labels = ErrorLabels {
            stage: "source".to_owned(),
            reason: source.to_owned(),
        };
        self.total_errors.get_or_create(&labels).inc();
    }

    /// Counts an error.
    pub fn error(&self, stage: Stage, reason: &str) {
        let labels = ErrorLabels {
            stage: stage.name().to_owned(),
            reason: reason.to_owned(),
        };
        self.total_errors.get_or_create(&labels).inc();
    }
}

/// Backlog, dead letters and the account, as the spool holds them.
struct StoreFigures {
    store: Store,
}

impl std::fmt::Debug for StoreFigures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoreFigures").finish_non_exhaustive()
    }
}

impl Collector for StoreFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let figures = self.store.figures();
        let gauges = [
            ("backlog", "Messages accepted and not finished", figures.messages()),
            (
                "backlog_bytes",
                "Bytes of the messages that are not finished",
                figures.bytes(),
            ),
            ("dead_letters", "Dead letters kept", figures.dead_letters()),
            ("dead_letters_bytes", "Bytes of the dead letters", figures.dead_bytes()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        if let Some(sharing) = self.store.sharing() {
            let gauge = ConstGauge::new(i64::from(sharing.buckets));
            let help = "Of the 256 buckets of devices, those that this connector works on";
            gauge.encode(encoder.encode_descriptor("buckets", help, None, MetricType::Gauge)?)?;
        }
        // Everything accepted before the watermark is an Observation, a dead letter, or matches nothing.
        let watermark = self.store.watermark().ok().flatten().or(figures.last_received());
        let times = [
            (
                "last_message_timestamp_seconds",
                "When the last message was accepted, Unix time",
                figures.last_received(),
            ),
            (
                "watermark_timestamp_seconds",
                "When the oldest unfinished message was accepted, or the last one where none waits, Unix time",
                watermark,
            ),
        ];
        for (name, help, micros) in times {
            #[expect(clippy::cast_precision_loss, reason = "microseconds of this epoch fit")]
            let gauge = ConstGauge::new(micros.unwrap_or_default() as f64 / 1e6);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let account = figures.account();
        let help = "Every message and reading since the spool was made, by what became of it";
        let mut family = encoder.encode_descriptor("account", help, None, MetricType::Counter)?;
        for term in Term::ALL {
            let counter = ConstCounter::new(account.get(term));
            counter.encode(family.encode_family(&[("term", term.name())])?)?;
        }
        Ok(())
    }
}
