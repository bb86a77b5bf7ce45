//! SampledData: what is built is read again, and appending gives what building anew does.

use iot_mapping::{build_sampled_data, parse_sampled_data};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

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
    (0..4_000_000_000_i64, 0..1_000_000_000_i32, step, 1..400_i64).prop_map(|(second, nanosecond, step, count)| {
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
