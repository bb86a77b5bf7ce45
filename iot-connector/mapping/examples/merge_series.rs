//! What it costs to merge five readings, and a whole day, into a day of them:
//! `cargo run --release -p iot-mapping --example merge_series`.

use std::{sync::Arc, time::Instant};

use iot_mapping::{Compatibility::Standard, FhirMapping, Input, Measurement, Order, Subject};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// A day at one a second.
const POINTS: i64 = 86_400;
const TIMES: u32 = 200;

fn main() {
    let fill = |seconds| readings(0..seconds);
    let late = POINTS - 5;
    report("behind the end", -1, fill(late), readings(late..POINTS));
    report("gaps of a day", 1440, fill(late), readings(late..POINTS));
    report("first slots of a day", 1440, fill(late), readings(0..5));
    report("a day again", 1440, fill(POINTS), readings(0..POINTS));
    report("an hour before the begin", -1, fill(late), readings(-3600..-3595));
}

fn report(name: &str, period: i64, there: Vec<Input>, new: Vec<Input>) {
    let mapping = json!({"templateType": "CollectionFhir", "template": [{"templateType": "CodeValueFhir", "template": {
        "typeName": "t", "periodInterval": period, "codes": [],
        "value": {"valueType": "SampledData", "defaultPeriod": 1000, "valueName": "v"}
    }}]});
    let mapping = FhirMapping::parse(&mapping.to_string(), Standard).expect("a mapping");
    let subject = Subject {
        device: "d",
        patient: "p",
        encounter: None,
    };
    let there = mapping.group(there).groups.remove(0);
    let (existing, _) = mapping
        .create(&there, subject, Timestamp::UNIX_EPOCH)
        .expect("an Observation");
    let group = mapping.group(new).groups.remove(0);
    let begin = Instant::now();
    for _ in 0..TIMES {
        let merged = mapping.merge(&existing, &group).expect("a merge");
        assert_eq!(merged.counts.total(), group.readings());
    }
    println!("{name}: {} µs a merge", (begin.elapsed() / TIMES).as_micros());
}

/// One a second, values of two or three digits.
fn readings(seconds: std::ops::Range<i64>) -> Vec<Input> {
    let midnight = Timestamp::from_second(1_767_225_600).expect("a time");
    let input = |second: i64| Input {
        source: 0,
        order: Order {
            received: 0,
            position: second,
        },
        replay: false,
        measurement: Measurement {
            type_name: "t".into(),
            occurrence: midnight + SignedDuration::from_secs(second),
            device: "d".into(),
            patient: None,
            encounter: None,
            correlation: Some("c".to_owned()),
            values: vec![(Arc::from("v"), (60 + second.rem_euclid(70)).to_string())],
        },
    };
    seconds.map(input).collect()
}
