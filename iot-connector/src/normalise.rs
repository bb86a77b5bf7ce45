//! From a message to its measurements, with what is counted on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use iot_mapping::{Measurement, Normalised};
use serde::{Deserialize, Serialize};

use crate::{
    mappings::Pair,
    metrics::ConnectorMetrics,
    spool::{Fault, Micros, Stage, Term},
};

/// How a message counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It gave at least one measurement.
    Matched,
    /// No template is for it.
    Unmatched,
    /// It gave a dead letter and no measurement.
    Dead,
}

impl Outcome {
    /// Its term in the account.
    pub const fn term(self) -> Term {
        match self {
            Self::Matched => Term::Matched,
            Self::Unmatched => Term::Unmatched,
            Self::Dead => Term::Dead,
        }
    }
}

/// What a message gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// How it counts.
    pub outcome: Outcome,
    /// What could not be made of it.
    pub faults: Vec<Fault>,
    /// What was made of it.
    pub measurements: Vec<Measurement>,
}

/// Normalises a message and counts it. `queued` is when it was put into its queue, `received` when it was first accepted.
pub fn measure(
    pair: &Pair,
    body: &[u8],
    context: &str,
    metrics: &ConnectorMetrics,
    queued: Micros,
    received: Micros,
) -> Measured {
    let message = iot_mapping::Message::Body { body, context };
    let normalised = normalise(pair, message);
    let outcome = match (normalised.measurements.is_empty(), normalised.faults.is_empty()) {
        (false, _) => Outcome::Matched,
        (true, true) => Outcome::Unmatched,
        (true, false) => Outcome::Dead,
    };
    for fault in &normalised.faults {
        metrics.error(Stage::Normalise, fault.reason);
    }
    if outcome == Outcome::Dead {
        metrics.dropped(normalised.faults.first().map_or("Internal", |fault| fault.reason));
    }
    if outcome == Outcome::Unmatched {
        metrics.dropped("Unmatched");
        metrics.unmatched.note(&pair.device, message, body, received);
    }
    metrics.normalized_event.inc();
    for measurement in &normalised.measurements {
        metrics.measured(&measurement.type_name);
    }
    let latency = crate::pipeline::milliseconds(crate::pipeline::now() - queued);
    metrics.device_event_processing_latency_ms.observe(latency);
    let faults = normalised.faults.iter().map(|fault| dead(Stage::Normalise, fault));
    Measured {
        outcome,
        faults: faults.collect(),
        measurements: normalised.measurements,
    }
}

fn normalise(pair: &Pair, message: iot_mapping::Message<'_>) -> Normalised {
    // A message that finds a defect of ours is a dead letter like any other; the rest goes on.
    catch_unwind(AssertUnwindSafe(|| pair.device.normalise(message))).unwrap_or_else(|_| {
        let detail = "this message can't be worked on because of a defect in this program".to_owned();
        let fault = iot_mapping::Fault {
            reason: "Internal",
            detail,
            template: None,
            path: None,
        };
        Normalised {
            measurements: Vec::new(),
            faults: vec![fault],
        }
    })
}

/// A fault of the mappings as it is kept.
pub fn dead(stage: Stage, fault: &iot_mapping::Fault) -> Fault {
    Fault {
        stage,
        reason: fault.reason.to_owned(),
        detail: fault.detail.clone(),
        template: fault.template.as_deref().map(str::to_owned),
        path: fault.path.clone(),
    }
}
