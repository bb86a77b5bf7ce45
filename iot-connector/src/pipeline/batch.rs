//! A flush of messages made into groups, with what each message still waits for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use iot_mapping::{Group, Input, Normalised, Order};

use super::tracker::{InWork, Tracker};
use crate::{
    mappings::Pair,
    metrics::ConnectorMetrics,
    spool::{Account, Fault, Finished, Message, Stage, Term},
};

/// A group to write, with the messages that it is a part of.
pub struct GroupJob {
    /// The mappings that made it.
    pub pair: Arc<Pair>,
    /// The readings.
    pub group: Group,
    /// The messages.
    pub trackers: Vec<Arc<Tracker>>,
}

/// What a flush becomes.
#[derive(Default)]
pub struct Batch {
    /// To be written.
    pub jobs: Vec<GroupJob>,
    /// Messages that are done with already.
    pub finished: Vec<Finished>,
}

/// Normalises and groups messages.
pub fn prepare(pair: &Arc<Pair>, messages: Vec<Message>, in_work: &Arc<InWork>, metrics: &ConnectorMetrics) -> Batch {
    let mut trackers = Vec::with_capacity(messages.len());
    let mut inputs = Vec::with_capacity(messages.len());
    for (source, message) in messages.into_iter().enumerate() {
        let tracker = Tracker::new(message.seq, message.queued, pair.digest.clone(), in_work);
        let normalised = normalise(pair, &message);
        if count(&normalised, &tracker, metrics) == Term::Unmatched {
            let (body, context) = (&message.body[..], message.context.as_str());
            let seen = iot_mapping::Message::Body { body, context };
            metrics.unmatched.note(&pair.device, seen, body, message.received);
        }
        let order = Order {
            received: message.received,
            position: message.position,
        };
        let replay = message.position != message.seq;
        let input = |measurement| Input {
            source,
            order,
            replay,
            measurement,
        };
        inputs.extend(normalised.measurements.into_iter().map(input));
        trackers.push(tracker);
    }
    let grouped = pair.fhir.group(inputs);
    let mut batch = Batch::default();
    for fault in grouped.faults {
        let readings = fault.readings;
        let mut account = Account::of(&[(Term::Readings, readings), (Term::DeadReadings, readings)]);
        metrics.error(Stage::Group, fault.fault.reason);
        let found = dead(Stage::Group, &fault.fault);
        for source in fault.sources {
            if let Some(tracker) = trackers.get(source) {
                tracker.record(std::mem::take(&mut account), vec![found.clone()]);
            }
        }
    }
    for group in grouped.groups {
        let parts: Vec<_> = group
            .sources
            .iter()
            .filter_map(|source| trackers.get(*source))
            .cloned()
            .collect();
        for tracker in &parts {
            tracker.begin_part();
        }
        batch.jobs.push(GroupJob {
            pair: pair.clone(),
            group,
            trackers: parts,
        });
    }
    // The part that this function was.
    batch.finished = trackers.iter().filter_map(|tracker| tracker.end_part()).collect();
    batch
}

fn normalise(pair: &Pair, message: &Message) -> Normalised {
    let (body, context) = (&message.body[..], message.context.as_str());
    // A message that finds a defect of ours is a dead letter like any other; the rest goes on.
    catch_unwind(AssertUnwindSafe(|| {
        pair.device.normalise(iot_mapping::Message::Body { body, context })
    }))
    .unwrap_or_else(|_| {
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

/// Counts a message, and says what became of it.
fn count(normalised: &Normalised, tracker: &Tracker, metrics: &ConnectorMetrics) -> Term {
    let term = match (normalised.measurements.is_empty(), normalised.faults.is_empty()) {
        (false, _) => Term::Matched,
        (true, true) => Term::Unmatched,
        (true, false) => Term::Dead,
    };
    for fault in &normalised.faults {
        metrics.error(Stage::Normalise, fault.reason);
    }
    if term == Term::Unmatched {
        metrics.dropped_event.inc();
    }
    metrics.normalized_event.inc();
    metrics.measurement.inc_by(normalised.measurements.len() as u64);
    let latency = super::milliseconds(super::now() - tracker.queued);
    metrics.device_event_processing_latency_ms.observe(latency);
    let faults = normalised
        .faults
        .iter()
        .map(|fault| dead(Stage::Normalise, fault))
        .collect();
    tracker.record(Account::of(&[(term, 1)]), faults);
    term
}

fn dead(stage: Stage, fault: &iot_mapping::Fault) -> Fault {
    Fault {
        stage,
        reason: fault.reason.to_owned(),
        detail: fault.detail.clone(),
        template: fault.template.as_deref().map(str::to_owned),
        path: fault.path.clone(),
    }
}
