//! From measurements to groups, one for each Observation.
//!
//! Measurements belong together when device, type, patient, encounter and correlation are the same (a tuple, never a
//! joined text), and when their times fall into the same boundary of the template's period.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};

use crate::{
    fhir::{FhirMapping, FhirTemplate, Period, ValueKind},
    measurement::{Fault, Measurement, Order},
    observation::decimal,
    template::Compatibility,
    time,
};

/// A measurement with where it comes from.
#[derive(Debug, Clone)]
pub struct Input {
    /// The caller's number for the message.
    pub source: usize,
    /// The message's order.
    pub order: Order,
    /// Whether the message was a dead letter before: then it fills gaps and replaces nothing.
    pub replay: bool,
    /// What was measured.
    pub measurement: Measurement,
}

/// One value of one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// When it was measured.
    pub time: Timestamp,
    /// As text.
    pub value: String,
    /// Its order.
    pub order: Order,
    /// Whether it may only fill a gap.
    pub replay: bool,
}

/// What became of readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// A value or point of an Observation.
    pub points: u64,
    /// Gave way to a reading of greater order.
    pub superseded: u64,
    /// Were there already.
    pub duplicates: u64,
    /// Part of an aggregate.
    pub aggregated: u64,
    /// No place in the FHIR mapping.
    pub omitted: u64,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.points + self.superseded + self.duplicates + self.aggregated + self.omitted
    }
}

/// The readings of one Observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Type of the measurements, as in the device mapping.
    pub type_name: String,
    /// The device's identifier.
    pub device: String,
    /// The patient's identifier.
    pub patient: Option<String>,
    /// The encounter's identifier.
    pub encounter: Option<String>,
    /// Begin of the boundary.
    pub start: Timestamp,
    /// End of the boundary.
    pub end: Timestamp,
    /// The part of the Observation's identifier that stands for the boundary.
    pub segment: String,
    /// Readings by value name, each list by time.
    pub values: BTreeMap<String, Vec<Reading>>,
    /// Readings that already gave way while grouping.
    pub superseded: u64,
    /// Whether a measurement without values is in it: an event, which needs no value.
    pub event: bool,
    /// The messages that it comes from.
    pub sources: Vec<usize>,
}

impl Group {
    /// Its readings, those that gave way included.
    pub fn readings(&self) -> u64 {
        self.values.values().map(|readings| readings.len() as u64).sum::<u64>() + self.superseded
    }
}

/// Measurements that can't be grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFault {
    /// What is wrong.
    pub fault: Fault,
    /// The messages.
    pub sources: Vec<usize>,
    /// How many readings.
    pub readings: u64,
}

/// What grouping gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouped {
    /// To be written.
    pub groups: Vec<Group>,
    /// Not to be written.
    pub faults: Vec<GroupFault>,
}

type Key = (Arc<str>, Arc<str>, Option<String>, Option<String>, Option<String>);

impl FhirMapping {
    /// Groups the measurements of a batch.
    pub fn group(&self, inputs: Vec<Input>) -> Grouped {
        let mut grouped = Grouped::default();
        let mut together: HashMap<Key, Vec<Input>> = HashMap::new();
        let mut keys = Vec::new();
        for input in inputs {
            let of = &input.measurement;
            let key: Key = (
                of.device.clone(),
                of.type_name.clone(),
                of.patient.clone(),
                of.encounter.clone(),
                of.correlation.clone(),
            );
            let list = together.entry(key.clone()).or_default();
            if list.is_empty() {
                keys.push(key);
            }
            list.push(input);
        }
        for key in keys {
            let Some(inputs) = together.remove(&key) else { continue };
            match self.template(&key.1) {
                Some(template) => grouped.add(template, inputs, self.compatibility),
                None => {
                    let name = inputs[0].measurement.type_name.clone();
                    let detail =
                        format!("No Fhir Template exists with the type name [{name}]: add one to the FHIR mapping");
                    grouped.refuse("TemplateNotFound", detail, &inputs);
                }
            }
        }
        grouped
    }
}

impl Grouped {
    /// Adds the groups of measurements with one key.
    pub fn add(&mut self, template: &FhirTemplate, inputs: Vec<Input>, compatibility: Compatibility) {
        let (inputs, superseded) = match compatibility {
            Compatibility::Upstream => latest_ingestion(inputs),
            Compatibility::Standard => (inputs, 0),
        };
        let Some(first) = inputs.first() else { return };
        let correlation = first.measurement.correlation.clone().filter(|id| !id.trim().is_empty());
        match (template.period, &correlation) {
            (Period::Correlation, None) => {
                let detail = "the measurement has no correlation id, which periodInterval -1 needs".to_owned();
                return self.refuse("CorrelationIdNotDefined", detail, &inputs);
            }
            (Period::Other(minutes), _) => {
                let detail = format!("periodInterval {minutes} isn't supported");
                return self.refuse("NotSupported", detail, &inputs);
            }
            _ => {}
        }
        let mut groups: BTreeMap<Timestamp, Group> = BTreeMap::new();
        let range = range(&inputs);
        for input in inputs {
            let time = input.measurement.occurrence;
            let (start, end, segment) = match (template.period, &correlation) {
                (Period::Correlation, Some(correlation)) => (range.0, range.1, correlation.clone()),
                (period, _) => boundary(period, time, compatibility),
            };
            let slot = if template.period == Period::Single {
                slot(time, compatibility)
            } else {
                start
            };
            let group = groups
                .entry(slot)
                .or_insert_with(|| Group::new(&input, start, end, segment));
            if !group.sources.contains(&input.source) {
                group.sources.push(input.source);
            }
            self.take(group, template, input, compatibility);
        }
        let mut groups: Vec<Group> = groups
            .into_values()
            .filter(|group| group.readings() > 0 || group.event)
            .collect();
        for group in &mut groups {
            group.order(compatibility);
        }
        if let Some(group) = groups.first_mut() {
            group.superseded += superseded;
        }
        self.groups.extend(groups);
    }

    /// Puts a measurement's values into its group; in standard mode a value that can't be used doesn't spoil the others.
    fn take(&mut self, group: &mut Group, template: &FhirTemplate, input: Input, compatibility: Compatibility) {
        let Input {
            source,
            order,
            replay,
            measurement,
        } = input;
        group.event |= measurement.values.is_empty();
        for (name, value) in measurement.values {
            if compatibility == Compatibility::Standard && !fits(template, &name, &value) {
                let detail = format!("value `{name}` is `{value}`, which isn't a number");
                let template = Some(measurement.type_name.clone());
                let fault = Fault {
                    reason: "InvalidQuantityFhirValue",
                    detail,
                    template,
                    path: None,
                };
                self.faults.push(GroupFault {
                    fault,
                    sources: vec![source],
                    readings: 1,
                });
                continue;
            }
            let reading = Reading {
                time: measurement.occurrence,
                value,
                order,
                replay,
            };
            group.values.entry(name.to_string()).or_default().push(reading);
        }
    }

    fn refuse(&mut self, reason: &'static str, detail: String, inputs: &[Input]) {
        let template = inputs.first().map(|input| input.measurement.type_name.clone());
        let mut sources: Vec<usize> = inputs.iter().map(|input| input.source).collect();
        sources.dedup();
        let readings = inputs.iter().map(|input| input.measurement.values.len() as u64).sum();
        let fault = Fault {
            reason,
            detail,
            template,
            path: None,
        };
        self.faults.push(GroupFault {
            fault,
            sources,
            readings,
        });
    }
}

impl Group {
    fn new(input: &Input, start: Timestamp, end: Timestamp, segment: String) -> Self {
        let of = &input.measurement;
        Self {
            type_name: of.type_name.to_string(),
            device: of.device.to_string(),
            patient: of.patient.clone(),
            encounter: of.encounter.clone(),
            start,
            end,
            segment,
            values: BTreeMap::new(),
            superseded: 0,
            event: false,
            sources: Vec::new(),
        }
    }

    /// Sorts by time; of readings at one time one stays: upstream the first, else the one of the greatest order.
    fn order(&mut self, compatibility: Compatibility) {
        for readings in self.values.values_mut() {
            let before = readings.len();
            match compatibility {
                Compatibility::Upstream => readings.sort_by_key(|reading| reading.time),
                Compatibility::Standard => {
                    // A replayed reading gives way to any other.
                    readings.sort_by_key(|reading| (reading.time, reading.replay, std::cmp::Reverse(reading.order)));
                }
            }
            readings.dedup_by_key(|reading| reading.time);
            self.superseded += (before - readings.len()) as u64;
        }
    }
}

/// Upstream: of measurements at one time only the one that was ingested last stays. Gives the lost readings.
fn latest_ingestion(inputs: Vec<Input>) -> (Vec<Input>, u64) {
    let mut latest: BTreeMap<Timestamp, Input> = BTreeMap::new();
    let mut superseded = 0;
    for input in inputs {
        match latest.entry(input.measurement.occurrence) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(input);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let loser = if input.order >= entry.get().order {
                    entry.insert(input)
                } else {
                    input
                };
                superseded += loser.measurement.values.len() as u64;
            }
        }
    }
    (latest.into_values().collect(), superseded)
}

fn range(inputs: &[Input]) -> (Timestamp, Timestamp) {
    let times = || inputs.iter().map(|input| input.measurement.occurrence);
    (
        times().min().unwrap_or(Timestamp::UNIX_EPOCH),
        times().max().unwrap_or(Timestamp::UNIX_EPOCH),
    )
}

/// Begin, end (the last 100 ns) and identifier segment of the boundary around a time.
fn boundary(period: Period, time: Timestamp, compatibility: Compatibility) -> (Timestamp, Timestamp, String) {
    let minutes = match period {
        Period::Hourly => 60,
        Period::Daily => 1440,
        Period::Single | Period::Correlation | Period::Other(_) => {
            // A fraction of a second makes the segment milliseconds, so that two readings in a second stay two.
            let fraction = compatibility == Compatibility::Standard && time.subsec_nanosecond() != 0;
            let text = time::segment(time, fraction);
            return (time, time, format!("{text}.{text}"));
        }
    };
    let seconds = minutes * 60;
    let begin = time.as_second().div_euclid(seconds) * seconds;
    let start = Timestamp::from_second(begin).unwrap_or(time);
    let last = SignedDuration::from_secs(seconds) - SignedDuration::from_nanos(100);
    let end = start.checked_add(last).unwrap_or(time);
    (
        start,
        end,
        format!("{}.{}", time::segment(start, false), time::segment(end, false)),
    )
}

/// Readings in one slot share an Observation. It has to agree with the identifier's resolution.
fn slot(time: Timestamp, compatibility: Compatibility) -> Timestamp {
    match compatibility {
        Compatibility::Upstream => time,
        Compatibility::Standard => {
            let down = TimestampRound::new()
                .smallest(Unit::Millisecond)
                .mode(jiff::RoundMode::Floor);
            time.round(down).unwrap_or(time)
        }
    }
}

fn fits(template: &FhirTemplate, name: &str, value: &str) -> bool {
    let numeric = |kind: &ValueKind| matches!(kind, ValueKind::Quantity { .. } | ValueKind::SampledData { .. });
    let wanted = template
        .values()
        .any(|mapping| mapping.name == name && numeric(&mapping.kind));
    !wanted || decimal(value).is_some()
}
