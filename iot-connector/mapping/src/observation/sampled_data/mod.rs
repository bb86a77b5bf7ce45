//! SampledData: points at a fixed distance, one token a slot, `E` for a gap.
//!
//! A day at one a second is a text of 86,400 tokens, so that a merge copies it in few pieces: what it costs beside that
//! grows with the new points.

mod tokens;

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::{ObservationError, values::decimal};
use crate::{
    grouping::{Counts, Reading},
    template::Compatibility,
};
use tokens::{GAP, Tokens, Writer, canonical};

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

/// Slots between two times, with the points that are there before new ones come.
pub(super) struct Series<'a> {
    grid: Grid<'a>,
    /// Tokens that are there, one for a gap, too.
    there: Cow<'a, str>,
    /// The slot of the first of them.
    first: usize,
}

/// Slots between two times.
struct Grid<'a> {
    start: Timestamp,
    period: &'a str,
    /// Nanoseconds between slots.
    step: i128,
    count: usize,
}

/// The text of a series over `start..=end`: the last value in a slot wins, values outside are left out.
pub fn build(
    values: &[(Timestamp, String)],
    start: Timestamp,
    end: Timestamp,
    period: &str,
) -> Result<String, SampledDataError> {
    Ok(Grid::new(start, end, period)?.data(values))
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

impl<'a> Series<'a> {
    /// Gaps from `start` to `end`.
    pub(super) fn new(start: Timestamp, end: Timestamp, period: &'a str) -> Result<Self, SampledDataError> {
        Ok(Self {
            grid: Grid::new(start, end, period)?,
            there: Cow::Borrowed(""),
            first: 0,
        })
    }

    /// A series over `start..=end` with the points of an existing value whose series begins at `existing_start`.
    pub(super) fn merged(
        existing: &'a Value,
        existing_start: Timestamp,
        start: Timestamp,
        end: Timestamp,
        period: &'a str,
    ) -> Result<Self, SampledDataError> {
        if existing["dimensions"].as_u64().is_some_and(|dimensions| dimensions > 1) {
            return Err(SampledDataError::Existing("it has more than one dimension"));
        }
        let existing_period = existing["period"]
            .as_number()
            .map_or_else(|| period.to_owned(), ToString::to_string);
        let grid = Grid::new(start, end, period)?;
        let data = existing["data"].as_str().unwrap_or_default();
        let moved = existing_start.as_nanosecond() - start.as_nanosecond();
        let (there, first) = if step(&existing_period)? == grid.step && moved >= 0 {
            (
                canonical(data),
                usize::try_from(moved / grid.step).unwrap_or(usize::MAX),
            )
        } else {
            // Each point has another slot.
            let points = parse(data, existing_start, &existing_period)?;
            (Cow::Owned(grid.data(&points)), 0)
        };
        Ok(Self { grid, there, first })
    }

    /// The text with readings in their slots; counts what becomes of them. Of several in one slot the one of the
    /// greatest order stays, upstream the last; a replayed one fills gaps only.
    pub(super) fn with(&self, readings: &[Reading], compatibility: Compatibility, counts: &mut Counts) -> String {
        let mut writer = Writer::new(Tokens::new(&self.there), self.first, self.grid.count);
        let mut rest = readings;
        let sorted: Vec<Reading>;
        if !readings.is_sorted_by_key(|reading| reading.time) {
            let mut by_time = readings.to_vec();
            by_time.sort_by_key(|reading| reading.time);
            sorted = by_time;
            rest = &sorted;
        }
        while let Some(first) = rest.first() {
            let slot = self.grid.slot(first.time);
            let length = rest.iter().take_while(|next| self.grid.slot(next.time) == slot).count();
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
            match writer.at(slot) {
                Some(there) if there == value => counts.duplicates += 1,
                Some(_) if kept.replay => counts.superseded += 1,
                _ => {
                    counts.points += 1;
                    writer.put(&value);
                }
            }
        }
        writer.finish()
    }

    /// The period as a JSON number.
    pub(super) fn period(&self) -> Value {
        serde_json::from_str(self.grid.period).unwrap_or(Value::Null)
    }
}

impl<'a> Grid<'a> {
    fn new(start: Timestamp, end: Timestamp, period: &'a str) -> Result<Self, SampledDataError> {
        Ok(Self {
            start,
            period,
            step: step(period)?,
            count: slots(end.as_nanosecond() - start.as_nanosecond(), period)?,
        })
    }

    fn slot(&self, time: Timestamp) -> Option<usize> {
        let distance = time.as_nanosecond() - self.start.as_nanosecond();
        if distance < 0 {
            return None;
        }
        usize::try_from(distance / self.step)
            .ok()
            .filter(|slot| *slot < self.count)
    }

    /// The text of these points alone.
    fn data(&self, points: &[(Timestamp, String)]) -> String {
        let slots = points
            .iter()
            .filter_map(|(time, value)| Some((self.slot(*time)?, value)));
        let slots: BTreeMap<usize, &String> = slots.collect();
        let mut writer = Writer::new(Tokens::new(""), 0, self.count);
        for (slot, value) in slots {
            writer.at(slot);
            writer.put(value);
        }
        writer.finish()
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
