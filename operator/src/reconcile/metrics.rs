//! What the operator tells of itself: reconciliations, queue, leadership.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use daemon::Metrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;

use super::{Context, ReconcileError, Task};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    outcome: &'static str,
}

/// Counts reconciliations by kind and outcome.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    reconciliations: Family<Labels, Counter>,
}

impl Outcomes {
    /// Counters that the metrics page shows.
    pub fn register(metrics: &Metrics) -> Self {
        let outcomes = Self::default();
        metrics.register(|registry| {
            registry.register(
                "reconciliations",
                "Looks at one object",
                outcomes.reconciliations.clone(),
            );
        });
        outcomes
    }

    /// One more.
    pub fn count(&self, task: &Task, result: &Result<Option<Duration>, ReconcileError>) {
        let kind = match task {
            Task::Places(_) => "Tenant",
            Task::FhirService(_) => "FhirService",
            Task::IoTConnector(_) => "IoTConnector",
        };
        let outcome = if result.is_ok() { "done" } else { "failed" };
        self.reconciliations.get_or_create(&Labels { kind, outcome }).inc();
    }
}

/// What is read when somebody asks.
pub struct State(Arc<Context>);

impl State {
    /// Shows queue, leadership and objects on the metrics page.
    pub fn register(metrics: &Metrics, context: &Arc<Context>) {
        let state = Box::new(Self(Arc::clone(context)));
        metrics.register(|registry| registry.register_collector(state));
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("State")
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let page = page_of(&self.0);
        for (name, help, value) in [
            ("leader", "Whether this replica leads", usize::from(page.leader)),
            ("queue_length", "Objects that wait to be looked at", page.queue),
            ("tenants", "Tenants seen", page.tenants),
            ("fhir_services", "FhirServices seen", page.fhir_services),
            ("iot_connectors", "IoTConnectors seen", page.iot_connectors),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

/// `/status` of the operator.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    version: &'static str,
    leader: bool,
    queue: usize,
    tenants: usize,
    fhir_services: usize,
    iot_connectors: usize,
}

/// `/status` of the operator, now.
pub fn page(context: &Context) -> std::future::Ready<Page> {
    std::future::ready(page_of(context))
}

fn page_of(context: &Context) -> Page {
    Page {
        version: env!("CARGO_PKG_VERSION"),
        leader: context.claim.borrow().leaves(Duration::ZERO),
        queue: context.queue.len(),
        tenants: context.index.tenants.names().len(),
        fhir_services: context.index.fhir_services.names().len(),
        iot_connectors: context.index.iot_connectors.names().len(),
    }
}
