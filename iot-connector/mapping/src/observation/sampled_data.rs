//! SampledData: points at a fixed distance, one token a slot, `E` for a gap.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use thiserror::Error;

use super::{ObservationError, values::decimal};
use crate::{
    grouping::{Counts, Reading},
    template::Compatibility,
};

/// The token of a gap.
const GAP: &str = "E";
/// More slots than this aren't made: a day of 100 ms is 864,000.
pub(crate) const MOST_SLOTS: u32 = 1_000_000;

/// Why SampledData can't be built or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SampledDataError {
    /// The period isn't a positive number.
    #[error("SampledData needs a period in milliseconds, not `{0}`")]
    Period(String),
    /// More slots than anybody can want.
    #[error("a period of {0} ms makes too many points")]
    TooMany(String),
    /// What is there isn't a series of one dimension.
    #[error("the existing SampledData can't be merged with: {0}")]
    Existing(&'static str),
}

impl From<SampledDataError> for ObservationError {
    fn from(error: SampledDataError) -> Self {
        Self::NotSupported(error.to_string())
    }
}

/// Slots between two times.
pub(super) struct Series {
    start: Timestamp,
    period: String,
    step: i128,
    slots: Vec<Option<String>>,
}

/// The text of a series over `start..=end`: the last value in a slot wins, values outside are left out.
pub fn build(
    values: &[(Timestamp, String)],
    start: Timestamp,
    end: Timestamp,
    period: &str,
) -> Result<String, SampledDataError> {
    let mut series = Series::new(start, end, period)?;
    for (time, value) in values {
        if let Some(slot) = series.slot(*time) {
            series.slots[slot] = Some(value.clone());
        }
    }
    Ok(series.data())
}

/// The points of a series, gaps left out.
pub fn parse(data: &str, start: Timestamp, period: &str) -> Result<Vec<(Timestamp, String)>, SampledDataError> {
    let step = step(period)?;
    let place = |index: usize| {
        let nanoseconds = i64::try_from(step * i128::try_from(index).ok()?).ok()?;
        start.checked_add(SignedDuration::from_nanos(nanoseconds)).ok()
    };
    let points = data
        .split_whitespace()
        .enumerate()
        .filter(|(_, token)| !token.eq_ignore_ascii_case(GAP));
    Ok(points
        .filter_map(|(index, token)| Some((place(index)?, token.to_owned())))
        .collect())
}

impl Series {
    /// Gaps from `start` to `end`.
    pub(super) fn new(start: Timestamp, end: Timestamp, period: &str) -> Result<Self, SampledDataError> {
        let count = slots(end.as_nanosecond() - start.as_nanosecond(), period)?;
        Ok(Self {
            start,
            period: period.to_owned(),
            step: step(period)?,
            slots: vec![None; count],
        })
    }

    /// A series over `start..=end` with the points of an existing value whose series begins at `existing_start`.
    pub(super) fn merged(
        existing: &Value,
        existing_start: Timestamp,
        start: Timestamp,
        end: Timestamp,
        period: &str,
    ) -> Result<Self, SampledDataError> {
        if existing["dimensions"].as_u64().is_some_and(|dimensions| dimensions > 1) {
            return Err(SampledDataError::Existing("it has more than one dimension"));
        }
        let existing_period = existing["period"]
            .as_number()
            .map_or_else(|| period.to_owned(), ToString::to_string);
        let mut series = Self::new(start, end, period)?;
        for (time, value) in parse(
            existing["data"].as_str().unwrap_or_default(),
            existing_start,
            &existing_period,
        )? {
            if let Some(slot) = series.slot(time) {
                series.slots[slot] = Some(value);
            }
        }
        Ok(series)
    }

    /// Puts readings, by time, into their slots, and counts what becomes of them. Of several in one slot the one of the
    /// greatest order stays, upstream the last; a replayed one fills gaps only.
    pub(super) fn add(&mut self, readings: &[Reading], compatibility: Compatibility, counts: &mut Counts) {
        let mut rest = readings;
        while let Some(first) = rest.first() {
            let slot = self.slot(first.time);
            let length = rest.iter().take_while(|next| self.slot(next.time) == slot).count();
            let (same, others) = rest.split_at(length);
            rest = others;
            let Some(slot) = slot else {
                counts.omitted += same.len() as u64;
                continue;
            };
            let kept = match compatibility {
                Compatibility::Upstream => same.last(),
                Compatibility::Standard => same
                    .iter()
                    .max_by_key(|reading| (!reading.replay, reading.order, reading.time)),
            };
            counts.superseded += same.len() as u64 - 1;
            let kept = kept.unwrap_or(first);
            let value = decimal(&kept.value).unwrap_or_else(|| kept.value.clone());
            match &self.slots[slot] {
                Some(there) if *there == value => counts.duplicates += 1,
                Some(_) if kept.replay => counts.superseded += 1,
                _ => {
                    counts.points += 1;
                    self.slots[slot] = Some(value);
                }
            }
        }
    }

    pub(super) fn to_fhir(&self, unit: Option<&str>) -> Value {
        let mut origin = json!({"value": 0});
        if let Some(unit) = unit {
            origin["unit"] = unit.into();
        }
        let period: Value = serde_json::from_str(&self.period).unwrap_or(Value::Null);
        json!({"origin": origin, "period": period, "dimensions": 1, "data": self.data()})
    }

    fn slot(&self, time: Timestamp) -> Option<usize> {
        let distance = time.as_nanosecond() - self.start.as_nanosecond();
        if distance < 0 {
            return None;
        }
        usize::try_from(distance / self.step)
            .ok()
            .filter(|slot| *slot < self.slots.len())
    }

    fn data(&self) -> String {
        let mut data = String::with_capacity(self.slots.len() * 4);
        for (index, slot) in self.slots.iter().enumerate() {
            if index > 0 {
                data.push(' ');
            }
            data.push_str(slot.as_deref().unwrap_or(GAP));
        }
        data
    }
}

/// How many slots so many nanoseconds have.
pub(crate) fn slots(span: i128, period: &str) -> Result<usize, SampledDataError> {
    let count = span.max(0) / step(period)? + 1;
    if count > i128::from(MOST_SLOTS) {
        return Err(SampledDataError::TooMany(period.to_owned()));
    }
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Nanoseconds between points.
fn step(period: &str) -> Result<i128, SampledDataError> {
    let wrong = || SampledDataError::Period(period.to_owned());
    let milliseconds: f64 = period.parse().map_err(|_| wrong())?;
    if !milliseconds.is_finite() || milliseconds <= 0.0 || milliseconds > 1e12 {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let nanoseconds = (milliseconds * 1e6).round() as i128;
    Ok(nanoseconds.max(1))
}
