//! Merging: however readings are spread over batches, and however often a batch comes, the Observation is the same.

use iot_mapping::{Compatibility::Standard, FhirMapping, Input};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{group, mapping, reading, written};

fn values() -> [FhirMapping; 7] {
    let quantity = |aggregation: &str| json!({"valueType": "Quantity", "aggregation": aggregation});
    [
        json!({"valueType": "SampledData", "defaultPeriod": 60_000}),
        quantity("last"),
        quantity("first"),
        quantity("min"),
        quantity("max"),
        quantity("mean"),
        json!({"valueType": "String"}),
    ]
    .map(|value| mapping(60, &value, Standard))
}

/// Readings of one hour, no two at one time, in the order of their messages.
fn readings() -> impl Strategy<Value = Vec<Input>> {
    let minutes = proptest::sample::subsequence((0..60).collect::<Vec<u32>>(), 1..20).prop_shuffle();
    (minutes, proptest::collection::vec(40..200_u32, 20)).prop_map(|(minutes, values)| {
        let pairs = minutes.iter().zip(values).enumerate();
        pairs
            .map(|(index, (minute, value))| {
                let position = i64::try_from(index).unwrap();
                reading(&format!("2026-01-01T10:{minute:02}:00Z"), &value.to_string(), position)
            })
            .collect()
    })
}

/// What a reader of the Observation sees, without its history.
fn seen(mut observation: Value) -> Value {
    for name in ["status", "_valueString"] {
        observation.as_object_mut().unwrap().shift_remove(name);
    }
    if let Some(quantity) = observation["valueQuantity"].as_object_mut() {
        quantity.shift_remove("extension");
    }
    observation
}

proptest! {
    #[test]
    fn a_split_changes_nothing(readings in readings(), at in any::<prop::sample::Index>()) {
        let (first, second) = readings.split_at(at.index(readings.len()));
        for mapping in values() {
            let whole = written(&mapping, &[&readings[..]]);
            let parts: Vec<&[Input]> = [first, second].into_iter().filter(|part| !part.is_empty()).collect();
            prop_assert_eq!(seen(written(&mapping, &parts)), seen(whole));
        }
    }

    #[test]
    fn a_batch_that_comes_again_changes_nothing(readings in readings()) {
        for mapping in values() {
            let once = written(&mapping, &[&readings[..]]);
            let merged = mapping.merge(&once, &group(&mapping, &readings)).unwrap();
            prop_assert!(!merged.changed, "{} became {}", once, merged.observation);
        }
    }
}

#[test]
fn a_replayed_reading_fills_gaps_only() {
    let mapping = mapping(
        60,
        &json!({"valueType": "SampledData", "defaultPeriod": 600_000}),
        Standard,
    );
    let live = [reading("2026-01-01T10:00:00Z", "60", 5)];
    let mut replayed = [
        reading("2026-01-01T10:00:00Z", "1", 0),
        reading("2026-01-01T10:20:00Z", "2", 0),
    ];
    for input in &mut replayed {
        input.replay = true;
    }
    let observation = written(&mapping, &[&live[..], &replayed[..]]);
    assert_eq!(observation["valueSampledData"]["data"], "60 E 2 E E E");
}

#[test]
fn a_migrated_value_is_replaced_by_new_readings_and_kept_from_replays() {
    let existing = json!({"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 50},
        "effectivePeriod": {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:59:59.9999999Z"}});
    let cases = [
        ("last", false, 60),
        ("last", true, 50),
        ("min", false, 50),
        ("max", false, 60),
        ("first", false, 50),
    ];
    for (aggregation, replay, expected) in cases {
        let mapping = mapping(
            60,
            &json!({"valueType": "Quantity", "aggregation": aggregation}),
            Standard,
        );
        let mut input = reading("2026-01-01T10:30:00Z", "60", 1);
        input.replay = replay;
        let merged = mapping.merge(&existing, &group(&mapping, &[input])).unwrap();
        assert_eq!(merged.observation["valueQuantity"]["value"], expected, "{aggregation}");
    }
}
