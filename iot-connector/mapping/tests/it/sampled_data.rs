//! SampledData: what is built is read again, and appending gives what building anew does.

use iot_mapping::{Compatibility::Standard, Input, build_sampled_data, parse_sampled_data};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{group, mapping, reading};

/// A series: where it begins, the nanoseconds between points with the period's text, and how many points it has.
#[derive(Debug, Clone)]
struct Series {
    start: Timestamp,
    step: i64,
    period: String,
    count: i64,
}

impl Series {
    fn time(&self, slot: i64, offset: i64) -> Timestamp {
        self.start + SignedDuration::from_nanos(slot * self.step + offset)
    }

    /// In the middle of the last slot.
    fn end(&self) -> Timestamp {
        self.time(self.count - 1, self.step / 2)
    }
}

fn series() -> impl Strategy<Value = Series> {
    // Milliseconds with a fraction that is a whole number of nanoseconds.
    let step = prop_oneof![
        1..1_000_000_i64,
        (1..10_000_i64).prop_map(|milliseconds| milliseconds * 1_000_000),
        1..60_000_000_000_i64
    ];
    (
        0..4_000_000_000_i64,
        0..1_000_000_000_i32,
        step,
        prop_oneof![4 => 1..400_i64, 1 => 2_000..4_000_i64],
    )
        .prop_map(|(second, nanosecond, step, count)| {
            let (whole, fraction) = (step / 1_000_000, step % 1_000_000);
            let period = match fraction {
                0 => whole.to_string(),
                _ => format!("{whole}.{fraction:06}").trim_end_matches('0').to_owned(),
            };
            Series {
                start: Timestamp::new(second, nanosecond).unwrap(),
                step,
                period,
                count,
            }
        })
}

/// Values in slots, each so far (of 1,000) into it, one a slot.
fn points() -> impl Strategy<Value = Vec<(prop::sample::Index, i64, String)>> {
    proptest::collection::vec(
        (
            any::<prop::sample::Index>(),
            0..1_000_i64,
            "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?",
        ),
        0..60,
    )
}

proptest! {
    #[test]
    fn what_is_built_is_read_again(series in series(), points in points()) {
        let mut slots = std::collections::BTreeMap::new();
        let mut values = Vec::new();
        for (at, into, value) in &points {
            let slot = i64::try_from(at.index(usize::try_from(series.count).unwrap())).unwrap();
            let offset = i64::try_from(i128::from(series.step) * i128::from(*into) / 1_000).unwrap();
            // In the last slot not behind the end.
            let offset = offset.min(series.step / 2);
            values.push((series.time(slot, offset), value.clone()));
            slots.insert(slot, value.clone());
        }
        let data = build_sampled_data(&values, series.start, series.end(), &series.period).unwrap();
        let expected: Vec<(Timestamp, String)> =
            slots.into_iter().map(|(slot, value)| (series.time(slot, 0), value)).collect();
        let read = parse_sampled_data(&data, series.start, &series.period).unwrap();
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(i64::try_from(data.split(' ').count()).unwrap(), series.count);
        let again = build_sampled_data(&read, series.start, series.end(), &series.period).unwrap();
        prop_assert_eq!(again, data);
    }

    #[test]
    fn what_is_outside_is_left_out(series in series(), points in points()) {
        let values: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(index, (_, into, value))| {
                let slot = if index % 2 == 0 { -1 - into } else { series.count + into };
                (series.time(slot, 0), value.clone())
            })
            .collect();
        let data = build_sampled_data(&values, series.start, series.end(), &series.period).unwrap();
        prop_assert_eq!(parse_sampled_data(&data, series.start, &series.period).unwrap(), []);
    }
}

/// Text as somebody else may have written it.
fn spoilt(data: &str, how: usize) -> String {
    match how {
        0 => data.replace('E', "e"),
        1 => data.replace(' ', "\n "),
        2 => format!(" {data}\t"),
        3 => data.split(' ').take(7).collect::<Vec<_>>().join(" "),
        4 => format!("{data} 1 E"),
        5 => data.replacen(' ', "\u{a0}", 3),
        _ => data.to_owned(),
    }
}

/// Times by slot, far before and behind a series, too, and how far into it.
fn news() -> impl Strategy<Value = Vec<(i64, i64, String)>> {
    let point = (
        prop_oneof![-100..500_i64, -100..4_100_i64],
        0..1_000_i64,
        "-?[1-9][0-9]{0,3}",
    );
    prop_oneof![
        proptest::collection::vec(point.clone(), 1..4),
        proptest::collection::vec(point, 1..100)
    ]
}

proptest! {
    #[test]
    fn a_merge_gives_what_building_anew_does(
        series in series(), points in points(), news in news(), how in 0..12_usize, other in prop::option::of(1..5_000_u32)
    ) {
        let values: Vec<(Timestamp, String)> = points
            .iter()
            .map(|(at, _, value)| {
                let slot = i64::try_from(at.index(usize::try_from(series.count).unwrap())).unwrap();
                (series.time(slot, 0), value.clone())
            })
            .collect();
        // What an Observation is about is read to 100 ns.
        let ticks = |time: Timestamp| time - SignedDuration::from_nanos(i64::from(time.subsec_nanosecond() % 100));
        let (start, end) = (ticks(series.start), ticks(series.end()));
        let data = spoilt(&build_sampled_data(&values, start, end, &series.period).unwrap(), how);
        // Sometimes the mapping had another period.
        let written = other.map_or_else(|| series.period.clone(), |other| other.to_string());
        let number: Value = serde_json::from_str(&written).unwrap();
        let existing = json!({
            "resourceType": "Observation", "status": "final",
            "effectivePeriod": {"start": start.to_string(), "end": end.to_string()},
            "valueSampledData": {"origin": {"value": 0}, "period": number, "dimensions": 1, "data": data}
        });
        let mut news: Vec<(Timestamp, String)> = news
            .into_iter()
            .map(|(slot, into, value)| (series.time(slot, 0) + SignedDuration::from_nanos(series.step / 1_000 * into), value))
            .collect();
        news.sort_by_key(|(time, _)| *time);
        news.dedup_by_key(|(time, _)| *time);
        let inputs: Vec<Input> = (0..).zip(&news).map(|(position, (time, value))| {
            let mut input = reading(&time.to_string(), value, position);
            // As the text of a time has fewer digits.
            input.measurement.occurrence = *time;
            input.measurement.correlation = Some("c".to_owned());
            input
        }).collect();
        let period: Value = serde_json::from_str(&series.period).unwrap();
        let mapping = mapping(-1, &json!({"valueType": "SampledData", "defaultPeriod": period}), Standard);
        let group = group(&mapping, &inputs);
        let merged = mapping.merge(&existing, &group).unwrap();
        prop_assert_eq!(merged.counts.total(), group.readings());

        let mut all = parse_sampled_data(&data, start, &written).unwrap();
        all.extend(news.clone());
        let (start, end) = (start.min(news[0].0), end.max(news[news.len() - 1].0));
        let expected = build_sampled_data(&all, start, end, &series.period).unwrap();
        prop_assert_eq!(merged.observation["valueSampledData"]["data"].as_str().unwrap(), expected);
    }
}
