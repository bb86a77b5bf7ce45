//! The mapping as a whole: what people get by default, and what `compatibility: upstream` switches back.

mod compliance;
mod decisions;
mod jmespath;
mod languages;
mod merging;
mod oracle;
mod sampled_data;
mod templates;

use std::sync::Arc;

use iot_mapping::{Compatibility, FhirMapping, Group, Grouped, Input, Measurement, Order, Subject, parse_time};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A FHIR mapping of type `t` with one value `v`.
fn mapping(period: i64, value: &Value, compatibility: Compatibility) -> FhirMapping {
    let mut value = value.clone();
    value["valueName"] = "v".into();
    let mapping = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "periodInterval": period, "codes": [], "value": value
    }}]});
    FhirMapping::parse(&mapping.to_string(), compatibility).unwrap()
}

/// A reading of `v` by device `d`; `position` orders it, and says which message it is in.
fn reading(time: &str, value: &str, position: i64) -> Input {
    Input {
        source: usize::try_from(position).unwrap(),
        order: Order { received: 0, position },
        replay: false,
        measurement: Measurement {
            type_name: "t".into(),
            occurrence: parse_time(time).unwrap(),
            device: "d".into(),
            patient: None,
            encounter: None,
            correlation: None,
            values: vec![(Arc::from("v"), value.to_owned())],
        },
    }
}

/// The one group of a batch.
fn group(mapping: &FhirMapping, batch: &[Input]) -> Group {
    let Grouped { mut groups, faults } = mapping.group(batch.to_vec());
    assert_eq!((groups.len(), faults.len()), (1, 0), "{faults:?}");
    groups.remove(0)
}

/// The Observation after these batches, one after the other.
fn written(mapping: &FhirMapping, batches: &[&[Input]]) -> Value {
    let mut observation = None;
    for batch in batches {
        let group = group(mapping, batch);
        let (next, counts) = match &observation {
            None => mapping.create(&group, subject(), Timestamp::UNIX_EPOCH).unwrap(),
            Some(existing) => {
                let merged = mapping.merge(existing, &group).unwrap();
                (merged.observation, merged.counts)
            }
        };
        assert_eq!(counts.total(), group.readings(), "every reading ends in one term");
        observation = Some(next);
    }
    observation.unwrap()
}

fn subject() -> Subject<'static> {
    Subject {
        device: "d",
        patient: "p",
        encounter: None,
    }
}
