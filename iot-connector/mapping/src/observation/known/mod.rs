//! Which readings a shared value is made of, so that one that comes again isn't taken twice.
//!
//! What comes again after a restart is all that was unfinished, in any split: whole batches, of any size. A highest key
//! alone isn't enough: a dead letter keeps its old key, below others that were taken, and was never taken itself. So
//! this is a set, of readings and of ranges of readings, bounded by joining neighbours. Joined first are those with
//! no position between, then those measured closest together: a device measures at a steady pace, so that a message that is
//! missing leaves a gap wider than the others, and stays outside. Where there are more gaps, a [`Filter`] tells for a while
//! which readings a range has. None that was taken is ever unknown; one that wasn't is taken for known only inside a
//! range, and by chance: the more readings, the likelier.

mod filter;

use serde_json::{Value, json};

use filter::Filter;

/// A reading: its time in microseconds, and its order (when its message was received, and the message's position).
pub(super) type Mark = [i64; 3];

const TIME: usize = 0;
const POSITION: usize = 2;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// Readings and ranges.
    most: usize,
    /// Of these, the latest aren't joined: among them readings of another writer may still come.
    latest: usize,
    /// Whether there is a filter.
    filtered: bool,
}

impl Bound {
    /// Where a reading more or less changes the value.
    pub(super) const EXACT: Self = Self {
        most: 64,
        latest: 16,
        filtered: true,
    };
    /// Where it changes what is counted, and the value only after the mapping asks for another aggregation.
    pub(super) const ROUGH: Self = Self {
        most: 32,
        latest: 16,
        filtered: false,
    };
}

/// A set of readings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// By position.
    ranges: Vec<Range>,
    /// What was joined; without it ranges have all that is in them.
    joined: Option<Filter>,
}

/// Readings between two bounds, a multiple of a step from the lower one; a single one has steps of 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: Mark,
    high: Mark,
    step: [u64; 3],
}

impl Known {
    pub(super) fn contains(&self, mark: &Mark) -> bool {
        self.ranges.iter().any(|range| {
            let joined = || self.joined.as_ref().is_none_or(|joined| joined.may_contain(mark));
            range.contains(mark) && (range.is_single() || joined())
        })
    }

    /// The set with more readings. Where nothing is added, nothing changes.
    pub(super) fn with(&self, marks: &[Mark], bound: Bound) -> Self {
        let mut known = self.clone();
        if marks.is_empty() {
            return known;
        }
        known.ranges.extend(marks.iter().map(|mark| Range::of(*mark)));
        known.ranges.sort_by_key(|range| {
            let [time, received, position] = range.low;
            (position, received, time)
        });
        if known.ranges.len() > bound.most {
            known.join(bound);
        }
        known
    }

    /// Joins ranges until they are few enough: the latest and the widest gaps stay, of those as wide the later.
    fn join(&mut self, bound: Bound) {
        let ranges = std::mem::take(&mut self.ranges);
        // What was joined without a filter is in no filter.
        let complete = self.joined.is_some() || ranges.iter().all(Range::is_single);
        self.joined = (bound.filtered && complete).then(|| self.joined.take().unwrap_or_else(Filter::empty));
        let latest = ranges.len().saturating_sub(bound.latest);
        let mut gaps: Vec<(bool, u64, usize)> = ranges
            .windows(2)
            .zip(1..)
            .map(|(pair, end)| (end > latest, pair[0].gap(&pair[1]), end))
            .collect();
        gaps.sort_unstable_by(|a, b| b.cmp(a));
        let mut ends: Vec<usize> = gaps.iter().take(bound.most - 1).map(|(.., end)| *end).collect();
        ends.push(ranges.len());
        ends.sort_unstable();
        let mut begin = 0;
        for end in ends {
            let part = ranges.get(begin..end).unwrap_or_default();
            begin = end;
            if let Some(joined) = &mut self.joined
                && part.len() > 1
            {
                let singles = part.iter().filter(|range| range.is_single());
                singles.for_each(|range| joined.insert(&range.low));
            }
            self.ranges
                .extend(part.iter().copied().reduce(|all, next| all.join(&next)));
        }
    }

    /// As JSON, each range by its distance from the one before.
    pub(super) fn to_json(&self) -> Value {
        let mut before: Mark = [0; 3];
        let ranges = self.ranges.iter().map(|range| {
            let Range { low, high, step } = range;
            let [time, received, position] = each(|part| low[part].wrapping_sub(before[part]));
            before = *low;
            if range.is_single() {
                return json!([time, received, position]);
            }
            let length = each(|part| high[part].abs_diff(low[part]));
            json!([time, received, position, length, step])
        });
        let ranges: Value = ranges.collect();
        match &self.joined {
            Some(joined) => json!({"ranges": ranges, "joined": joined.text()}),
            None => json!({"ranges": ranges}),
        }
    }

    pub(super) fn read(json: &Value) -> Option<Self> {
        let mut before: Mark = [0; 3];
        let mut ranges = Vec::new();
        for range in json["ranges"].as_array()? {
            let distance = mark(range)?;
            let low: Mark = each(|part| before[part].wrapping_add(distance[part]));
            before = low;
            ranges.push(match (range.get(3), range.get(4)) {
                (Some(length), Some(step)) => {
                    let length = lengths(length)?;
                    Range {
                        low,
                        high: each(|part| low[part].saturating_add_unsigned(length[part])),
                        step: lengths(step)?,
                    }
                }
                _ => Range::of(low),
            });
        }
        let joined = json["joined"].as_str().and_then(Filter::read);
        Some(Self { ranges, joined })
    }

    /// The latest readings one by one, as they were kept before there were ranges.
    pub(super) fn of_recent(json: &Value) -> Option<Self> {
        let marks: Vec<Mark> = json.as_array()?.iter().filter_map(mark).collect();
        Some(Self::default().with(&marks, Bound::EXACT))
    }
}

impl Range {
    fn of(mark: Mark) -> Self {
        Self {
            low: mark,
            high: mark,
            step: [0; 3],
        }
    }

    fn is_single(&self) -> bool {
        self.low == self.high
    }

    fn contains(&self, mark: &Mark) -> bool {
        (0..3).all(|part| {
            let (low, high, mark) = (self.low[part], self.high[part], mark[part]);
            low <= mark && mark <= high && mark.abs_diff(low).is_multiple_of(self.step[part])
        })
    }

    fn join(&self, next: &Self) -> Self {
        let apart = |part: usize| self.low[part].abs_diff(next.low[part]);
        Self {
            low: each(|part| self.low[part].min(next.low[part])),
            high: each(|part| self.high[part].max(next.high[part])),
            step: each(|part| divisor(divisor(self.step[part], next.step[part]), apart(part))),
        }
    }

    /// How wide the gap to the next one is.
    fn gap(&self, next: &Self) -> u64 {
        if next.low[POSITION].checked_sub(self.high[POSITION]) == Some(1) {
            return 0;
        }
        let later = next.low[TIME].saturating_sub(self.high[TIME]);
        let earlier = self.low[TIME].saturating_sub(next.high[TIME]);
        later.max(earlier).max(0).unsigned_abs() + 1
    }
}

pub(super) fn mark(value: &Value) -> Option<Mark> {
    let part = |index: usize| value.get(index)?.as_i64();
    Some([part(0)?, part(1)?, part(2)?])
}

fn lengths(value: &Value) -> Option<[u64; 3]> {
    let part = |index: usize| value.get(index)?.as_u64();
    Some([part(0)?, part(1)?, part(2)?])
}

fn each<T>(of: impl FnMut(usize) -> T) -> [T; 3] {
    [0, 1, 2].map(of)
}

/// The greatest common one; 0 is a multiple of all.
fn divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_taken_is_known(
            batches in prop::collection::vec((prop::collection::vec(any::<Mark>(), 0..150), any::<bool>()), 0..4)
        ) {
            let mut known = Known::default();
            for (batch, is_exact) in &batches {
                let bound = if *is_exact { Bound::EXACT } else { Bound::ROUGH };
                known = known.with(batch, bound);
                prop_assert!(batch.is_empty() || known.ranges.len() <= bound.most);
            }
            prop_assert!(batches.iter().flat_map(|(batch, _)| batch).all(|mark| known.contains(mark)));
            prop_assert_eq!(Known::read(&known.to_json()), Some(known));
        }
    }

    #[test]
    fn what_is_missing_at_no_steady_pace_stays_unknown_for_a_while() {
        let mut time = 0;
        let all: Vec<Mark> = (0..1_000)
            .map(|at| {
                time += 1 + at * at * 7_919 % 60_013;
                [time * 1_000, time * 1_000 + at % 700, time / 10 + at]
            })
            .collect();
        let (missing, taken): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(|(place, _)| place % 50 == 7);
        let taken: Vec<Mark> = taken.into_iter().map(|(_, mark)| *mark).collect();
        let known = taken
            .chunks(70)
            .fold(Known::default(), |known, batch| known.with(batch, Bound::EXACT));
        assert!(taken.iter().all(|mark| known.contains(mark)));
        assert!(missing.iter().all(|(_, mark)| !known.contains(mark)));
    }

    #[test]
    fn what_is_missing_at_a_steady_pace_stays_unknown() {
        // each second one message of ours among some of others; one is missing, and one value in the middle of another
        let all: Vec<Mark> = (0..10_000)
            .map(|second| {
                [
                    second * 1_000_000,
                    7_000 + second / 4,
                    90 * (second / 4) + second / 4 % 3,
                ]
            })
            .collect();
        let missing = [all[4_000], all[6_001]];
        let taken: Vec<Mark> = all.iter().copied().filter(|mark| !missing.contains(mark)).collect();
        let known = taken
            .chunks(700)
            .fold(Known::default(), |known, batch| known.with(batch, Bound::EXACT));
        assert!(taken.iter().all(|mark| known.contains(mark)));
        assert!(missing.iter().all(|mark| !known.contains(mark)));
    }

    #[test]
    fn a_reading_that_comes_late_is_unknown() {
        let all: Vec<Mark> = (0..1_000)
            .map(|at| [at * at * 1_000, at * at, 3 * at + at % 2])
            .collect();
        let late = all[990];
        let taken: Vec<Mark> = all.iter().copied().filter(|mark| *mark != late).collect();
        assert!(!Known::default().with(&taken, Bound::EXACT).contains(&late));
    }

    #[test]
    fn a_second_source_at_the_same_pace_is_unknown() {
        // as partitions of a topic have it: positions of one are a multiple of 1,024 apart
        let of = |source: i64| (0..2_000_i64).map(move |at| [at * 1_000_000, at * 1_000, at * 1_024 + source]);
        let first: Vec<Mark> = of(5).collect();
        let known = Known::default().with(&first, Bound::EXACT);
        assert!(of(6).all(|mark| !known.contains(&mark)));
    }
}
