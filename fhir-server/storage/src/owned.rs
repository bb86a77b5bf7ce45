//! Rows that keep a resource's owner beside its date and its code, so that "of this patient, and …" is one range.
//!
//! They say nothing that the other index rows don't: they are a function of them, written and removed with them in the
//! same transaction, and so they need no index by pk.

use std::collections::{BTreeMap, BTreeSet};

use crate::rows::Rows;

/// What an owner row says besides: how the resource names the owner.
pub mod via {
    /// It is in the owner's compartment.
    pub const MEMBER: i64 = 1;
    /// By its parameter `patient`.
    pub const PATIENT: i64 = 2;
    /// By its parameter `subject`.
    pub const SUBJECT: i64 = 4;
    /// It has more than one date: which are met is for its own rows to say.
    pub const SEVERAL: i64 = 8;
}

/// Before every date: the resource has none.
pub const NO_DATE: i64 = i64::MIN;

/// The parameters of a type by their numbers; 0: it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    pub members: i64,
    pub patient: i64,
    pub subject: i64,
    pub date: i64,
    pub code: i64,
}

/// A row of `ix_owner_date`, of which a resource has one for each owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerDate {
    pub param: i64,
    pub owner: i64,
    /// Not just one date of at most a day.
    pub long: i64,
    /// The greatest end, and the smallest begin.
    pub high: i64,
    pub low: i64,
    pub via: i64,
}

/// A row of `ix_owner_exact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerExact {
    pub param: i64,
    pub value: i64,
    pub owner: i64,
    pub via: i64,
}

impl Owned {
    /// By what a condition on this parameter says that the owner is named; `None`: it is about something else.
    pub fn via(&self, param: i64) -> Option<i64> {
        let ways = [
            (self.members, via::MEMBER),
            (self.patient, via::PATIENT),
            (self.subject, via::SUBJECT),
        ];
        let mut ways = ways.into_iter().filter(|(way, _)| *way != 0);
        ways.find(|(way, _)| *way == param).map(|(_, bit)| bit)
    }

    /// Makes the rows of a resource's owners from its other rows.
    pub fn derive(&self, rows: &mut Rows) {
        let own = |param: i64| rows.exact.range((param, i64::MIN, 0)..=(param, i64::MAX, 0));
        let own = |param| own(param).filter(|(.., element)| *element == 0).map(|row| row.1);
        let mut owners: BTreeMap<i64, i64> = BTreeMap::new();
        for param in [self.members, self.patient, self.subject] {
            let bit = self.via(param).unwrap_or_default();
            for owner in own(param) {
                *owners.entry(owner).or_default() |= bit;
            }
        }
        if owners.is_empty() {
            return;
        }
        let codes: Vec<i64> = own(self.code).collect();
        let mut exact = BTreeSet::new();
        for (owner, via) in &owners {
            exact.extend(codes.iter().map(|value| OwnerExact {
                param: self.code,
                value: *value,
                owner: *owner,
                via: *via,
            }));
        }
        let mut dates = BTreeSet::new();
        if self.date != 0 {
            let own = rows.dates.iter();
            let own: Vec<_> = own.filter(|row| row.0 == self.date && row.3 == 0).collect();
            let low = own.iter().map(|row| row.1).min().unwrap_or(NO_DATE);
            let high = own.iter().map(|row| row.2).max().unwrap_or(NO_DATE);
            let several = if own.len() > 1 { via::SEVERAL } else { 0 };
            let long = own.len() != 1 || Rows::is_long(low, high);
            dates.extend(owners.iter().map(|(owner, via)| OwnerDate {
                param: self.date,
                owner: *owner,
                long: i64::from(long),
                high,
                low,
                via: via | several,
            }));
        }
        rows.owner_dates = dates;
        rows.owner_exact = exact;
    }
}
