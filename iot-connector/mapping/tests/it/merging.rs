//! Merging: however readings are spread over batches, and however often a batch comes, the Observation is the same.

use std::sync::Arc;

use iot_mapping::{Compatibility::Standard, FhirMapping, Input};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{group, mapping, reading, subject, written};

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

/// Readings of one hour, no two at one time and several in one slot, in the order of their messages.
fn readings() -> impl Strategy<Value = Vec<Input>> {
    let seconds = proptest::sample::subsequence((0..600).collect::<Vec<u32>>(), 1..20).prop_shuffle();
    (seconds, proptest::collection::vec(40..200_u32, 20)).prop_map(|(seconds, values)| {
        let pairs = seconds.iter().zip(values).enumerate();
        pairs
            .map(|(index, (second, value))| {
                let position = i64::try_from(index).unwrap();
                let time = format!("2026-01-01T10:{:02}:{:02}Z", second / 60, second % 60);
                reading(&time, &value.to_string(), position)
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

/// Readings as they arrive, in batches: those of a message that came late, too.
fn arrivals(readings: impl Strategy<Value = Vec<Input>>) -> impl Strategy<Value = (Vec<Input>, Vec<Vec<Input>>)> {
    let cuts = proptest::collection::vec(any::<prop::sample::Index>(), 0..6);
    let shuffled = readings.prop_flat_map(|readings| (Just(readings.clone()), Just(readings).prop_shuffle()));
    (shuffled, cuts).prop_map(|((readings, arriving), cuts)| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(arriving.len())).collect();
        cuts.extend([0, arriving.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let batches = cuts.windows(2).map(|cut| arriving[cut[0]..cut[1]].to_vec());
        (readings, batches.collect())
    })
}

/// Few times and few values, with as many digits as the device likes.
fn ties() -> impl Strategy<Value = Vec<Input>> {
    let value = prop_oneof![Just("60"), Just("60.0"), Just("61.5")];
    proptest::collection::vec((0..4_u32, value), 1..12).prop_map(|pairs| {
        let inputs = pairs.iter().enumerate().map(|(index, (minute, value))| {
            let time = format!("2026-01-01T10:0{minute}:00Z");
            reading(&time, value, i64::try_from(index).unwrap())
        });
        inputs.collect()
    })
}

proptest! {
    /// Where keys are kept: a Quantity or String that readings share. It can't hold for slots of SampledData and for
    /// single instants, which keep no keys: there whoever comes later replaces what is there, and a replay fills gaps only.
    /// The mean of values that binary numbers don't have exactly may differ in its last digit, the 15th.
    #[test]
    fn readings_may_arrive_in_any_order((readings, batches) in arrivals(readings())) {
        let batches: Vec<&[Input]> = batches.iter().map(Vec::as_slice).collect();
        for mapping in values().into_iter().skip(1) {
            let whole = written(&mapping, &[&readings[..]]);
            prop_assert_eq!(seen(written(&mapping, &batches)), seen(whole));
        }
    }

    /// As above, with several readings at one time, of which a batch keeps the one of the greatest key. Not for `min`,
    /// `max` and `mean`: they can't take back a reading of an earlier batch.
    #[test]
    fn readings_at_one_time_may_arrive_in_any_order((readings, batches) in arrivals(ties())) {
        let batches: Vec<&[Input]> = batches.iter().map(Vec::as_slice).collect();
        let [_, last, first, _, _, _, text] = values();
        for mapping in [last, first, text] {
            let whole = written(&mapping, &[&readings[..]]);
            prop_assert_eq!(seen(written(&mapping, &batches)), seen(whole));
        }
    }

    /// Of equal numbers that of the greatest time and key shows its digits.
    #[test]
    fn equal_numbers_may_arrive_in_any_order((readings, batches) in arrivals(ties())) {
        let apart = |inputs: &[Input]| -> Vec<Input> {
            inputs.iter().cloned().map(|mut input| {
                let second = jiff::SignedDuration::from_secs(input.order.position);
                input.measurement.occurrence += second;
                input
            }).collect()
        };
        let batches: Vec<Vec<Input>> = batches.iter().map(|batch| apart(batch)).collect();
        let batches: Vec<&[Input]> = batches.iter().map(Vec::as_slice).collect();
        let [_, _, _, min, max, _, _] = values();
        for mapping in [min, max] {
            let whole = written(&mapping, &[&apart(&readings)[..]]);
            prop_assert_eq!(seen(written(&mapping, &batches)), seen(whole));
        }
    }
}

/// How a queue looks to one value: whose positions it shares, and how regular the device measures.
#[derive(Debug, Clone, Copy)]
enum Queue {
    /// One device alone, measuring when it likes.
    Own,
    /// Many devices, of which ours measures once a second.
    Shared,
}

/// What happens to the messages of an hour.
#[derive(Debug, Clone)]
struct History {
    readings: Vec<Input>,
    /// Places among them of those that are dead letters first.
    dead: Vec<usize>,
    /// Lengths of the batches of the others, and what comes again after each: so many of the latest, then so many of these
    /// in each batch.
    batches: Vec<(usize, usize, usize)>,
}

fn history() -> impl Strategy<Value = History> {
    let own = proptest::sample::subsequence((0..3600).collect::<Vec<i64>>(), 200..600).prop_shuffle();
    let own = own.prop_map(|seconds| (Queue::Own, seconds));
    let shared = (200..600_i64).prop_map(|count| (Queue::Shared, (0..count).collect()));
    let batch = (1..300_usize, 0..400_usize, 1..100_usize);
    (
        prop_oneof![own, shared],
        proptest::collection::vec((40..200_u32, 1..40_i64), 600),
        proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        proptest::collection::vec(batch, 8),
    )
        .prop_map(|((queue, seconds), random, dead, batches)| {
            let mut position = 0;
            let readings = seconds.iter().zip(&random).map(|(second, (value, others))| {
                position += match queue {
                    Queue::Own => 1,
                    Queue::Shared => *others,
                };
                let time = Timestamp::from_second(1_767_261_600 + second).unwrap().to_string();
                let mut input = reading(&time, &value.to_string(), position);
                input.order.received = position * 25_000;
                input
            });
            let readings: Vec<Input> = readings.collect();
            let mut dead: Vec<usize> = dead.iter().map(|at| at.index(readings.len())).collect();
            dead.sort_unstable();
            dead.dedup();
            History {
                readings,
                dead,
                batches,
            }
        })
}

impl History {
    /// Batches as they are written: each of the live readings with parts that come again, then the dead letters, twice each.
    fn batches(&self) -> Vec<Vec<Input>> {
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for (place, reading) in self.readings.iter().enumerate() {
            let is_dead = self.dead.binary_search(&place).is_ok();
            if is_dead { &mut dead } else { &mut live }.push(reading.clone());
        }
        let mut batches = Vec::new();
        let mut begin = 0;
        for (length, again, split) in self.batches.iter().cycle() {
            if begin == live.len() {
                break;
            }
            let end = live.len().min(begin + length);
            batches.push(live[begin..end].to_vec());
            // Killed before the answer came: from some message on everything is read again.
            let from = end.saturating_sub(*again);
            batches.extend(live[from..end].chunks(*split).map(<[Input]>::to_vec));
            begin = end;
        }
        for mut letter in dead {
            letter.replay = true;
            batches.extend([vec![letter.clone()], vec![letter]]);
        }
        batches
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_comes_again_is_counted_once(history in history()) {
        let batches = history.batches();
        let batches: Vec<&[Input]> = batches.iter().map(Vec::as_slice).collect();
        // Slots of a series keep no keys: there a dead letter fills gaps only.
        for mapping in values().into_iter().skip(1) {
            let observation = written(&mapping, &batches);
            let state = observation["valueQuantity"]["extension"].to_string();
            prop_assert!(state.len() < 8_000, "{}", state);
            let whole = written(&mapping, &[&history.readings[..]]);
            prop_assert_eq!(seen(observation), seen(whole));
        }
    }
}

#[test]
fn a_batch_whose_answer_was_lost_is_counted_once() {
    let mapping = mapping(60, &json!({"valueType": "Quantity", "aggregation": "mean"}), Standard);
    let batch = |range: std::ops::Range<i64>, value: &str| -> Vec<Input> {
        let at = |second: i64| format!("2026-01-01T10:{:02}:{:02}Z", second / 60, second % 60);
        range.map(|second| reading(&at(second), value, second)).collect()
    };
    let (first, second) = (batch(0..10, "100"), batch(10..50, "50"));
    let observation = written(&mapping, &[&first[..], &second, &second]);
    assert_eq!(observation["valueQuantity"]["value"], 60.0);
}

/// A value's history as the release before wrote it: the latest keys one by one.
#[test]
fn a_history_of_the_release_before_is_read() {
    let mapping = mapping(60, &json!({"valueType": "Quantity", "aggregation": "mean"}), Standard);
    let batch = [
        reading("2026-01-01T10:00:00Z", "60", 0),
        reading("2026-01-01T10:01:00Z", "90", 1),
        reading("2026-01-01T10:02:00Z", "120", 2),
    ];
    let known: Vec<_> = batch[..2]
        .iter()
        .map(|input| json!([input.measurement.occurrence.as_microsecond(), 0, input.order.position]))
        .collect();
    let mut existing = written(&mapping, &[&batch[..2]]);
    let state = json!({"kept": known[1], "count": 2, "sum": 150.0, "recent": known});
    existing["valueQuantity"]["extension"][0]["valueString"] = state.to_string().into();
    let merged = mapping.merge(&existing, &group(&mapping, &batch)).unwrap();
    assert_eq!((merged.counts.duplicates, merged.counts.aggregated), (2, 1));
    assert_eq!(merged.observation["valueQuantity"]["value"], 90.0);
}

/// A reading of `hr` and one of `spo2` each, where there is one, of a correlation id.
fn correlated(time: &str, values: &[(&str, &str)]) -> Input {
    let mut input = reading(time, "", 0);
    input.measurement.correlation = Some("c".to_owned());
    let value = |(name, value): &(&str, &str)| (Arc::from(*name), (*value).to_owned());
    input.measurement.values = values.iter().map(value).collect();
    input
}

#[test]
fn a_series_keeps_its_times_when_an_observation_grows() {
    let sampled = |name: &str| json!({"valueType": "SampledData", "defaultPeriod": 60_000, "valueName": name});
    let component = |name: &str| json!({"codes": [], "value": sampled(name)});
    let mapping = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "periodInterval": -1, "codes": [], "value": sampled("hr"),
        "components": [component("spo2"), component("temp")]
    }}]});
    let mapping = FhirMapping::parse(&mapping.to_string(), Standard).unwrap();
    let batches = [
        correlated("2026-01-01T10:01:00Z", &[("hr", "60")]),
        // one that is new, and later
        correlated("2026-01-01T10:03:00Z", &[("spo2", "97")]),
        // and one before all others
        correlated("2026-01-01T10:00:00Z", &[("temp", "37")]),
    ];
    let batches: Vec<&[Input]> = batches.iter().map(std::slice::from_ref).collect();
    let observation = written(&mapping, &batches);
    let data = |element: &Value| element["valueSampledData"]["data"].clone();
    assert_eq!(observation["effectivePeriod"]["start"], "2026-01-01T10:00:00Z");
    assert_eq!(data(&observation), "E 60 E E");
    assert_eq!(data(&observation["component"][0]), "E E E 97");
    assert_eq!(data(&observation["component"][1]), "37 E E E");
}

#[test]
fn components_that_show_the_same_value_stay_apart() {
    let component = |unit: &str| json!({"codes": [{"code": unit}], "value": {"valueType": "Quantity", "valueName": "v", "unit": unit}});
    let mapping = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "periodInterval": 60, "codes": [], "components": [component("a"), component("b")]
    }}]});
    let mapping = FhirMapping::parse(&mapping.to_string(), Standard).unwrap();
    let batches = [
        reading("2026-01-01T10:00:00Z", "1", 0),
        reading("2026-01-01T10:01:00Z", "2", 1),
    ];
    let batches: Vec<&[Input]> = batches.iter().map(std::slice::from_ref).collect();
    let group = |batch: &[Input]| mapping.group(batch.to_vec()).groups.remove(0);
    let (first, _) = mapping
        .create(&group(batches[0]), subject(), Timestamp::UNIX_EPOCH)
        .unwrap();
    let merged = mapping.merge(&first, &group(batches[1])).unwrap().observation;
    let seen: Vec<_> = merged["component"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| {
            (
                component["code"]["coding"][0]["code"].clone(),
                component["valueQuantity"]["unit"].clone(),
                component["valueQuantity"]["value"].clone(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [(json!("a"), json!("a"), json!(2)), (json!("b"), json!("b"), json!(2))]
    );
}

#[test]
fn a_type_keeps_the_letters_of_the_device_mapping() {
    let mapping = mapping(0, &json!({"valueType": "Quantity"}), Standard);
    let mut readings = [
        reading("2026-01-01T10:00:00Z", "1", 0),
        reading("2026-01-01T10:00:00Z", "2", 1),
    ];
    readings[1].measurement.type_name = "T".into();
    let groups = mapping.group(readings.to_vec()).groups;
    let written: Vec<_> = groups
        .iter()
        .map(|group| {
            let (observation, _) = mapping.create(group, subject(), Timestamp::UNIX_EPOCH).unwrap();
            let coding = observation["code"]["coding"]
                .as_array()
                .unwrap()
                .last()
                .cloned()
                .unwrap();
            (
                observation["identifier"][0]["value"].clone(),
                observation["code"]["text"].clone(),
                coding["code"].clone(),
            )
        })
        .collect();
    let of = |name: &str| {
        (
            json!(format!("p.d.{name}.20260101100000Z.20260101100000Z")),
            json!(name),
            json!(name),
        )
    };
    assert_eq!(written, [of("t"), of("T")]);
}

#[test]
fn a_mean_is_decimal() {
    let mapping = mapping(60, &json!({"valueType": "Quantity", "aggregation": "mean"}), Standard);
    let readings = [
        reading("2026-01-01T10:00:00Z", "0.1", 0),
        reading("2026-01-01T10:01:00Z", "0.2", 1),
    ];
    assert_eq!(written(&mapping, &[&readings])["valueQuantity"]["value"], json!(0.15));
}

#[test]
fn what_says_nothing_is_left_out() {
    let mapping = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "codes": [], "category": [{"codes": []}], "value": {"valueType": "CodeableConcept", "valueName": "v"}
    }}]});
    let mapping = FhirMapping::parse(&mapping.to_string(), Standard).unwrap();
    let observation = written(&mapping, &[&[reading("2026-01-01T10:00:00Z", "1", 0)]]);
    assert_eq!(
        (observation.get("category"), observation.get("valueCodeableConcept")),
        (None, None)
    );
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
