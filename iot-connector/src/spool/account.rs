//! The account: every message and every reading ends in exactly one term.
//!
//! messages = matched + unmatched + dead + backlog, and for the finished messages
//! readings = points + superseded + duplicates + aggregated + omitted + dead readings.

use std::ops::AddAssign;

/// A figure of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Messages put into the queue, replays included.
    Messages,
    /// Messages that gave at least one measurement.
    Matched,
    /// Messages that no template is for.
    Unmatched,
    /// Messages that gave a dead letter and no measurement.
    Dead,
    /// Values of all measurements.
    Readings,
    /// Readings that are a value or a point of an Observation.
    Points,
    /// Readings that gave way to one with a greater order in the same slot.
    Superseded,
    /// Readings that were there already.
    Duplicates,
    /// Readings that are part of an aggregate.
    Aggregated,
    /// Readings that the FHIR mapping has no place for.
    Omitted,
    /// Readings that are dead letters.
    DeadReadings,
}

impl Term {
    /// All terms.
    pub const ALL: [Self; 11] = [
        Self::Messages,
        Self::Matched,
        Self::Unmatched,
        Self::Dead,
        Self::Readings,
        Self::Points,
        Self::Superseded,
        Self::Duplicates,
        Self::Aggregated,
        Self::Omitted,
        Self::DeadReadings,
    ];

    /// Its name in the spool and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Dead => "dead",
            Self::Readings => "readings",
            Self::Points => "points",
            Self::Superseded => "superseded",
            Self::Duplicates => "duplicates",
            Self::Aggregated => "aggregated",
            Self::Omitted => "omitted",
            Self::DeadReadings => "dead_readings",
        }
    }
}

/// Figures, one for each term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    figures: [u64; Term::ALL.len()],
}

impl Account {
    /// An account with these figures, zero elsewhere.
    pub fn of(figures: &[(Term, u64)]) -> Self {
        let mut account = Self::default();
        for (term, count) in figures {
            account.add(*term, *count);
        }
        account
    }

    /// A figure.
    pub fn get(&self, term: Term) -> u64 {
        self.figures[term as usize]
    }

    /// Adds to a figure.
    pub fn add(&mut self, term: Term, count: u64) {
        self.figures[term as usize] += count;
    }

    /// Whether it balances while `backlog` messages are unfinished.
    pub fn balances(&self, backlog: u64) -> bool {
        let sum = |terms: &[Term]| terms.iter().map(|term| self.get(*term)).sum::<u64>();
        self.get(Term::Messages) == sum(&[Term::Matched, Term::Unmatched, Term::Dead]) + backlog
            && self.get(Term::Readings)
                == sum(&[
                    Term::Points,
                    Term::Superseded,
                    Term::Duplicates,
                    Term::Aggregated,
                    Term::Omitted,
                    Term::DeadReadings,
                ])
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        for (own, added) in self.figures.iter_mut().zip(other.figures) {
            *own += added;
        }
    }
}
