//! A flush of messages made into groups, with what each message still waits for.

use std::sync::Arc;

use iot_mapping::{Group, Input};

use super::tracker::{InWork, Tracker};
use crate::{
    mappings::Pair,
    metrics::ConnectorMetrics,
    normalise::{dead, measure},
    spool::{Account, Finished, Stage, Term},
    store::{Content, Item},
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
pub fn prepare(pair: &Arc<Pair>, items: Vec<Item>, in_work: &Arc<InWork>, metrics: &ConnectorMetrics) -> Batch {
    let mut trackers = Vec::with_capacity(items.len());
    let mut inputs = Vec::with_capacity(items.len());
    for (source, item) in items.into_iter().enumerate() {
        let Item { order, replay, .. } = item;
        let tracker = Tracker::new(item.seq, item.queued, pair.digest.clone(), in_work);
        let measurements = match item.content {
            Content::Message { body, context } => {
                let measured = measure(pair, &body, &context, metrics, item.queued, order.received);
                tracker.record(Account::of(&[(measured.outcome.term(), 1)]), measured.faults);
                measured.measurements
            }
            Content::Part {
                account,
                faults,
                measurements,
            } => {
                tracker.record(account, faults);
                measurements
            }
        };
        let input = |measurement| Input {
            source,
            order,
            replay,
            measurement,
        };
        inputs.extend(measurements.into_iter().map(input));
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
