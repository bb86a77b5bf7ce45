//! Which condition leads: chosen by counting up to a limit in the indexes at hand, at the time of the search, so that skewed
//! values can't mislead it.

use fhir_search::Sort;

use super::Sql;
use super::condition::Condition;
use super::conditions::{Ask, Conditions};
use super::dialect::Dialect;
use super::driving::{can_drive, driving_rows};
use super::owner::{self, Dates};
use super::statement::Chosen;

/// Up to here hits are counted, and a driver's hits may be sorted.
pub const FEW: i64 = 512;

/// So few that nothing else is counted.
pub const SO_FEW: i64 = 16;

/// So few resources cost less to probe than another statement does; a probe of dates is one for each range.
const PROBES: usize = 16;
const PROBES_OF_DATES: usize = 4;

/// So few that their values are looked up to be sorted, where an index has the order.
const ENOUGH: i64 = 256;

/// What leads the search.
pub enum Driver {
    /// Rows of an index, by pk where `ordered`.
    Rows { condition: Condition, ordered: bool },
    /// Few resources, in order. A statement before has found them by a condition, which is tested again where their bodies
    /// are read.
    Pks { pks: Vec<i64>, found: Option<Condition> },
    /// Few ids.
    Ids(Vec<String>),
    /// Resources of an owner, in the order of their dates.
    Dated(Dates),
    /// Resources in the order of the page, by their own indexes.
    List,
}

/// What a condition's own index has.
pub enum Hits {
    /// So many.
    Count(i64),
    /// These, in any order; fewer than [`FEW`].
    Pks(Vec<i64>),
}

impl Hits {
    fn number(&self) -> i64 {
        match self {
            Self::Count(number) => *number,
            Self::Pks(pks) => i64::try_from(pks.len()).unwrap_or(i64::MAX),
        }
    }
}

/// Chooses what leads; `hits` counts a condition's hits in its own index up to a limit.
pub fn choose<E>(
    dialect: Dialect,
    conditions: Conditions,
    sort: &Sort,
    hits: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<Chosen, E> {
    let (candidates, dated) = (conditions.candidates(sort), conditions.dated());
    let Conditions {
        all: mut rest,
        types,
        mut typed,
        owned,
        ..
    } = conditions;
    let (driver, few) = match dated {
        Some(dates) if !rest.iter().any(|c| matches!(c, Condition::Id(_))) => {
            let best = fewest(&rest, &candidates, ENOUGH, hits)?;
            match best.filter(|best| best.number < ENOUGH) {
                Some(best) => lead(&mut rest, best),
                None => {
                    let naming = |condition: &Condition| {
                        let named = owned.as_ref().and_then(|owned| owner::named(owned, condition));
                        named.is_some_and(|named| named.number == dates.owner.number)
                    };
                    rest.retain(|condition| !matches!(condition, Condition::OwnerDate { .. }) && !naming(condition));
                    typed = true;
                    (Driver::Dated(dates), false)
                }
            }
        }
        _ => pick(&mut rest, sort, &candidates, hits)?,
    };
    Ok(Chosen {
        dialect,
        driver,
        few,
        rest,
        types,
        typed,
    })
}

impl Conditions {
    /// Those whose hits [`choose`] asks for, in this order.
    pub fn to_count(&self, sort: &Sort) -> Vec<&Condition> {
        self.candidates(sort).into_iter().map(|at| &self.all[at]).collect()
    }

    /// The conditions that could drive and have to be counted for that; none where it is clear which one does.
    fn candidates(&self, sort: &Sort) -> Vec<usize> {
        let all = &self.all;
        let is_dated = self.dated().is_some();
        // the owner's dates lead anyhow, unless something else has few hits
        let is_of_owner = |condition: &Condition| match condition {
            Condition::OwnerDate { .. } => true,
            other => self
                .owned
                .as_ref()
                .is_some_and(|owned| owner::named(owned, other).is_some()),
        };
        let drives = |at: &usize| can_drive(&all[*at]) && !(is_dated && is_of_owner(&all[*at]));
        let clear = all.iter().any(|c| matches!(c, Condition::Id(_))) || leader(all, sort).is_some();
        if clear {
            Vec::new()
        } else {
            (0..all.len()).filter(drives).collect()
        }
    }

    /// The dates of the owner, where the page is in their order.
    fn dated(&self) -> Option<Dates> {
        let (owner, owned) = (self.owner?, self.owned.filter(|_| self.by_date)?);
        let known = self.all.iter().find_map(|condition| match condition {
            Condition::OwnerDate { dates, .. } => Some(dates.clone()),
            _ => None,
        });
        let all = Dates {
            param: owned.date,
            owner,
            ranges: Vec::new(),
        };
        Some(known.unwrap_or(all))
    }
}

/// The only condition that can drive, if it gives the order of the page.
fn leader(conditions: &[Condition], sort: &Sort) -> Option<usize> {
    let mut drivers = (0..conditions.len()).filter(|at| can_drive(&conditions[*at]));
    let only = drivers.next().filter(|_| drivers.next().is_none())?;
    (*sort == Sort::Creation && keyed(&conditions[only])).then_some(only)
}

/// Whether its index has the resources in the order of their pk.
pub fn keyed(condition: &Condition) -> bool {
    matches!(condition, Condition::Exact { values, .. } | Condition::OwnerExact { values, .. } if values.len() == 1)
}

/// Takes the driver out of the conditions.
fn pick<E>(
    conditions: &mut Vec<Condition>,
    sort: &Sort,
    candidates: &[usize],
    hits: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<(Driver, bool), E> {
    if let Some(at) = conditions.iter().position(|c| matches!(c, Condition::Id(_)))
        && let Condition::Id(ids) = conditions.remove(at)
    {
        return Ok((Driver::Ids(ids), true));
    }
    if let Some(only) = leader(conditions, sort) {
        let condition = conditions.remove(only);
        return Ok((
            Driver::Rows {
                condition,
                ordered: true,
            },
            false,
        ));
    }
    let best = fewest(conditions, candidates, FEW, hits)?;
    Ok(match best {
        Some(best) if best.number < FEW => lead(conditions, best),
        best => match owner_of_dates(conditions).or(best.map(|best| best.at)) {
            Some(at) if keyed(&conditions[at]) => {
                let condition = conditions.remove(at);
                (
                    Driver::Rows {
                        condition,
                        ordered: true,
                    },
                    false,
                )
            }
            _ => (Driver::List, false),
        },
    })
}

/// A condition and its hits.
struct Best {
    at: usize,
    number: i64,
    hits: Hits,
}

/// The candidate with the fewest hits, counted up to `most`.
fn fewest<E>(
    conditions: &[Condition],
    candidates: &[usize],
    most: i64,
    count: &mut dyn FnMut(&Condition, i64) -> Result<Hits, E>,
) -> Result<Option<Best>, E> {
    let mut best: Option<Best> = None;
    for at in candidates {
        let condition = &conditions[*at];
        // one more than the fewest hits so far is as bad as any number
        let limit = best.as_ref().map_or(most, |best| (best.number + 1).min(most));
        let hits = count(condition, limit)?;
        let number = hits.number();
        // at the limit only an ordered driver is worth more than a list
        let better = best.as_ref().is_none_or(|best| {
            number < best.number || (number == best.number && keyed(condition) && !keyed(&conditions[best.at]))
        });
        if better {
            best = Some(Best { at: *at, number, hits });
        }
        if number <= SO_FEW {
            break;
        }
    }
    Ok(best)
}

/// Few hits lead.
fn lead(conditions: &mut Vec<Condition>, best: Best) -> (Driver, bool) {
    let condition = conditions.remove(best.at);
    let driver = match best.hits {
        Hits::Pks(mut pks) => {
            pks.sort_unstable();
            pks.dedup();
            Driver::Pks {
                pks,
                found: Some(condition),
            }
        }
        Hits::Count(_) => Driver::Rows {
            ordered: keyed(&condition),
            condition,
        },
    };
    (driver, true)
}

/// Where an owner has too many dates in a range, the conditions that it stands for are in its place; the one that names
/// the owner has an order.
fn owner_of_dates(conditions: &mut Vec<Condition>) -> Option<usize> {
    let names = |condition: &Condition| match condition {
        Condition::OwnerDate { stands_for, .. } => stands_for.first().is_some_and(keyed),
        _ => false,
    };
    let at = conditions.iter().position(names)?;
    if let Condition::OwnerDate { stands_for, .. } = conditions.remove(at) {
        conditions.splice(at..at, stands_for);
    }
    Some(at)
}

impl Chosen {
    /// Where few rows lead and others lie in the same order, both are read and only what is in both goes on: reading
    /// the next row of an index costs a tenth of a probe. Only where all statements see the same.
    pub fn narrow<E>(&mut self, ask: &mut Ask<'_, E>) -> Result<(), E> {
        let mut pks = match &mut self.driver {
            // nothing has changed since
            Driver::Pks { pks, .. } => std::mem::take(pks),
            Driver::Rows {
                condition,
                ordered: true,
            } if self.few && self.rest.iter().any(keyed) => {
                let mut rows = driving_rows(self.dialect, condition);
                rows.push(" ORDER BY x.pk");
                ask(rows)?
            }
            _ => return Ok(()),
        };
        let mut rest = Vec::with_capacity(self.rest.len());
        for condition in std::mem::take(&mut self.rest) {
            match self.beside(&pks, &condition) {
                None => rest.push(condition),
                Some((rows, limit)) => {
                    let mut others = ask(rows)?;
                    if others.len() == limit {
                        rest.push(condition);
                    } else {
                        others.sort_unstable();
                        pks.retain(|pk| others.binary_search(pk).is_ok());
                    }
                }
            }
        }
        self.rest = rest;
        self.driver = Driver::Pks { pks, found: None };
        Ok(())
    }

    /// The rows of a condition beside these resources, up to a limit; `None`: probes cost less, or are all there is.
    fn beside(&self, pks: &[i64], condition: &Condition) -> Option<(Sql, usize)> {
        let (first, last) = (pks.first()?, pks.last()?);
        let limit = match condition {
            // the next row costs an eighth of a probe, of which there is one for each range
            Condition::OwnerDate { dates, .. } => pks.len() * 8 * dates.ranges.len(),
            // more than that many between two of ours are better skipped by probes
            _ => pks.len() * 4 + 64,
        };
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = driving_rows(self.dialect, condition);
        if keyed(condition) && pks.len() > PROBES {
            rows.and(Sql::with("x.pk >= ?", *first));
            rows.and(Sql::with("x.pk <= ?", *last));
            rows.append(Sql::with(" ORDER BY x.pk LIMIT ?", most));
            Some((rows, limit))
        } else if matches!(condition, Condition::OwnerDate { .. }) && pks.len() > PROBES_OF_DATES {
            rows.append(Sql::with(" LIMIT ?", most));
            Some((rows, limit))
        } else {
            None
        }
    }
}
